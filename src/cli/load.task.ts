// The thread's side of load threads: attach, run one generator through its phases, leave. It starts nothing on its own: the
// driver's control words say when.

import { attach } from '../index.js';
import { InputSource } from './input.js';
import { LoadGenerator, type StageResult } from './load.js';
import { LoadControl } from './load-control.js';
import type { LoadTask } from './load-threads.js';
import { Workload } from './workload.js';

export default async function run(task: LoadTask): Promise<StageResult> {
  await using client = await attach(task.link);
  const control = new LoadControl(task.control);
  const common = { shape: task.shape, control, index: task.index };
  if (task.source.type === 'input') {
    const source = new InputSource({
      operations: task.source.operations,
      repeat: task.source.repeat,
      piece: task.shape.batch,
      generator: task.index,
      generators: task.generators,
    });
    return await new LoadGenerator({ ...common, target: client.kv, source }).run(task.quota);
  }
  const place = { generator: task.index, generators: task.generators };
  const source = new Workload(task.source.shape, place);
  const kv = client.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
  return await new LoadGenerator({ ...common, target: kv, source }).run(task.quota);
}
