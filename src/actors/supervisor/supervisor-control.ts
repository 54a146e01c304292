// What the thread that opened the cluster may ask of the supervisor. Links of further clients arrive as messages of their own,
// for a port has to be transferred before anybody can wait for an answer.

import type { MessagePort } from 'node:worker_threads';
import type { ClusterStatus, ViewInfo } from '../api.js';
import type { ClientBoot, FlipTarget, ThreadFault } from '../boot.js';
import type { Supervisor } from './supervisor.js';

export interface SupervisorControl {
  start(): Promise<void>;
  addClient(name: string): ClientBoot;
  status(): Promise<ClusterStatus>;
  kill(id: number): Promise<void>;
  setPaused(id: number, paused: boolean): void;
  restart(id: number): Promise<void>;
  stepDown(): Promise<ViewInfo>;
  fault(id: number, kind: ThreadFault, times: number): Promise<void>;
  flip(target: FlipTarget, count: number): Promise<number>;
  close(): Promise<void>;
}

/** Message that carries the port of a shared link. */
export interface LinkMessage {
  readonly link: MessagePort;
}

export function isLinkMessage(message: unknown): message is LinkMessage {
  return typeof message === 'object' && message !== null && 'link' in message;
}

export function supervisorControl(supervisor: Supervisor, port: MessagePort): SupervisorControl {
  port.on('message', (message: unknown) => {
    if (isLinkMessage(message)) supervisor.clients.adopt(message.link);
  });
  return {
    start: () => supervisor.start(),
    addClient: (name) => supervisor.clients.add(name),
    status: () => supervisor.administration.status(),
    kill: (id) => supervisor.administration.kill(id),
    setPaused: (id, paused) => supervisor.administration.setPaused(id, paused),
    restart: (id) => supervisor.administration.restart(id),
    stepDown: () => supervisor.administration.stepDown(),
    fault: async (id, kind, times) => supervisor.faults?.fault(id, kind, times),
    flip: async (target, count) => supervisor.faults?.flip(target, count) ?? 0,
    close: () => supervisor.close(),
  };
}
