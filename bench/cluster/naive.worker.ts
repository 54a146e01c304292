// A thread of the naive cluster: the primary sends every operation to both backups and answers at the first acknowledgement. Each
// keeps a log and a Map. See naive.ts for what it leaves out.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';

export interface NaiveBoot {
  readonly role: 'primary' | 'backup';
  /** Of the primary: to its backups; of a backup: to the primary. */
  readonly ports: MessagePort[];
}

export interface NaiveRequest {
  readonly id: number;
  readonly op: 'get' | 'set' | 'delete';
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

export interface NaiveReply {
  readonly id: number;
  /** Of a get the value, of anything else the number it got in the log. */
  readonly value: Uint8Array | number | undefined;
}

const { role, ports } = workerData as NaiveBoot;
const log: NaiveRequest[] = [];
const store = new Map<string, Uint8Array>();

function apply(request: NaiveRequest, number: number): NaiveReply['value'] {
  const { op, key, value } = request;
  if (op === 'get') return store.get(key);
  if (op === 'delete') store.delete(key);
  else if (value !== undefined) store.set(key, value);
  return number;
}

if (role === 'primary') {
  let committed = 0;
  parentPort?.on('message', (request: NaiveRequest) => {
    const number = log.push(request);
    for (const port of ports) port.postMessage({ number, request });
  });
  for (const port of ports)
    port.on('message', (number: number) => {
      // The first acknowledgement of a number commits it; the second one comes too late to matter.
      for (; committed < number; committed++) {
        const request = log[committed] as NaiveRequest;
        const reply: NaiveReply = { id: request.id, value: apply(request, committed + 1) };
        parentPort?.postMessage(reply);
      }
    });
} else {
  const [primary] = ports;
  primary?.on('message', ({ number, request }: { number: number; request: NaiveRequest }) => {
    log.push(request);
    primary.postMessage(number);
    apply(request, number);
  });
}
