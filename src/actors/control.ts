// The control plane: comlink over message ports. Plain comlink loses the fields of errors and never settles a call whose other
// side has died; the endpoint here notes every open call, and fails them all when the other side goes. Never on the path of an
// operation.

import { type Endpoint, expose, type Remote, transferHandlers, wrap } from 'comlink';
import { VrError, type VrErrorCode } from './errors.js';

/** What Worker, MessagePort and parentPort have in common. */
export interface Port {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  on(event: string, listener: (value: unknown) => void): unknown;
  off(event: string, listener: (value: unknown) => void): unknown;
}

interface SerializedError {
  readonly isError: true;
  readonly value: { message: string; name: string; stack: string | undefined };
  readonly vr?: Pick<VrError, 'code' | 'outcome' | 'retryable' | 'details'>;
}

let handlersInstalled = false;

/** Replaces comlink's handler of thrown values by one that keeps our fields. Once per thread. */
function installHandlers(): void {
  if (handlersInstalled) return;
  handlersInstalled = true;
  const original = transferHandlers.get('throw');
  if (original === undefined) throw new Error('comlink has no handler for thrown values');
  transferHandlers.set('throw', {
    canHandle: original.canHandle,
    serialize(thrown) {
      const { value } = thrown as { value: unknown };
      if (!(value instanceof VrError)) return original.serialize(thrown);
      const { message, name, stack, code, outcome, retryable, details } = value;
      const serialized: SerializedError = {
        isError: true,
        value: { message, name, stack },
        vr: { code, outcome, retryable, details },
      };
      return [serialized, []];
    },
    deserialize(serialized): unknown {
      const { value, vr } = serialized as SerializedError;
      if (vr === undefined) return original.deserialize(serialized);
      const { code, outcome, retryable, details } = vr;
      throw new VrError(code as VrErrorCode, value.message, { outcome, retryable, details });
    },
  });
}

interface Call {
  readonly id?: string;
}

/** Whoever closes the connection fails every open call with `reason`. */
export interface Connection<T> {
  readonly remote: Remote<T>;
  fail(reason: VrError): void;
}

/** Calls on the object that the other side exposes. Ends with the port, or by `fail`. */
export function connect<T>(port: Port, closed: () => VrError): Connection<T> {
  installHandlers();
  const open = new Set<string>();
  const listeners = new Map<unknown, (value: unknown) => void>();
  let dead: VrError | null = null;
  const deliver = (data: unknown): void => {
    for (const listener of listeners.values()) listener(data);
  };
  const failCall = (id: string, reason: VrError): void => {
    const { message, name, stack, code, outcome, retryable, details } = reason;
    const value = {
      isError: true,
      value: { message, name, stack },
      vr: { code, outcome, retryable, details },
    };
    deliver({ id, type: 'HANDLER', name: 'throw', value });
  };
  const fail = (reason: VrError): void => {
    dead ??= reason;
    // comlink's registry keeps this endpoint while its proxy lives, and the frames of an error hold whoever owns the proxy
    // until they have been made text: a closed cluster would never be collected, with all its rings.
    void reason.stack;
    for (const id of [...open]) {
      open.delete(id);
      failCall(id, reason);
    }
  };
  port.on('close', () => fail(closed()));
  const endpoint: Endpoint = {
    postMessage(message: Call, transfer: unknown[] = []) {
      const { id } = message;
      if (id !== undefined) {
        if (dead !== null) {
          const reason = dead;
          queueMicrotask(() => failCall(id, reason));
          return;
        }
        open.add(id);
      }
      port.postMessage(message, transfer);
    },
    addEventListener(_type, listener) {
      const call = (data: unknown): void => {
        const { id } = (data ?? {}) as Call;
        if (id !== undefined) open.delete(id);
        (listener as (event: { data: unknown }) => void)({ data });
      };
      listeners.set(listener, call);
      port.on('message', call);
    },
    removeEventListener(_type, listener) {
      const call = listeners.get(listener);
      listeners.delete(listener);
      if (call !== undefined) port.off('message', call);
    },
  };
  return { remote: wrap<T>(endpoint), fail };
}

/** Offers `target` to the other side of `port`. */
export function offer(target: object, port: Port): void {
  installHandlers();
  const listeners = new Map<unknown, (value: unknown) => void>();
  expose(target, {
    postMessage(message, transfer = []) {
      port.postMessage(message, transfer);
    },
    addEventListener(_type, listener) {
      const call = (data: unknown): void =>
        (listener as (event: { data: unknown }) => void)({ data });
      listeners.set(listener, call);
      port.on('message', call);
    },
    removeEventListener(_type, listener) {
      const call = listeners.get(listener);
      listeners.delete(listener);
      if (call !== undefined) port.off('message', call);
    },
  });
}
