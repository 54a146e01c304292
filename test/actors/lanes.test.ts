// Answers to the calls of one request: runs of calls without options settle later than calls with options, from the same result.

import { expect, test } from 'vitest';
import { SingleWriteCall } from '../../src/actors/client/calls.js';
import { WriteGather } from '../../src/actors/client/gather.js';
import { RequestBuffers } from '../../src/actors/client/request-buffers.js';
import type { ClientSettings } from '../../src/actors/options.js';
import {
  CHANGED,
  CONDITION_FAILED,
  COUNTED,
  OP_DELETE,
  OP_INCR,
  OP_SET,
  UNCHANGED,
  WRITE_RESULT_HEADER,
} from '../../src/service/operation.js';

const SETTINGS = {
  keyBytes: 100,
  valueBytes: 100,
  maxOps: 100,
  sessionReplyBytes: 1 << 20,
} as ClientSettings;

/** Of a writing request before which `revision` was the last: its statuses, then what they add. */
function resultOf(revision: number, statuses: readonly number[], extras: readonly number[]) {
  const bytes = new Uint8Array(WRITE_RESULT_HEADER + statuses.length + extras.length * 8);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, statuses.length, true);
  view.setFloat64(8, revision, true);
  bytes.set(statuses, WRITE_RESULT_HEADER);
  for (const [i, extra] of extras.entries())
    view.setFloat64(WRITE_RESULT_HEADER + statuses.length + i * 8, extra, true);
  return bytes;
}

test('lanes of one request and a call between them share its result', async () => {
  const gather = new WriteGather(SETTINGS, new RequestBuffers());
  const value = new Uint8Array(1);
  const answers: Promise<unknown>[] = [];
  const join = (code: number, deadline: number): void => {
    if (code === OP_SET) gather.writer.set('key', value);
    else if (code === OP_DELETE) gather.writer.delete('key');
    else gather.writer.incr('key', 1);
    answers.push(gather.join(code, deadline));
  };
  join(OP_SET, 10);
  join(OP_INCR, 10);
  join(OP_DELETE, 20);
  answers.push(
    new Promise((resolve, reject) => {
      gather.writer.set('key', value, { type: 'revision', revision: 3 });
      gather.add(new SingleWriteCall(OP_SET, resolve, reject));
    }),
  );
  join(OP_INCR, 20);
  join(OP_SET, 20);
  const statuses = [CHANGED, COUNTED, UNCHANGED, CONDITION_FAILED, COUNTED, CHANGED];
  const received = resultOf(40, statuses, [7, 42, 8]);
  gather.seal().settle(received);
  // The ring's memory is used again before the calls of the lanes look at it.
  received.fill(0xff);
  expect(await Promise.all(answers)).toEqual([41, 7, false, undefined, 8, 44]);
});
