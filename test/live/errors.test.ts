// Bad input gets a typed error that names what was wrong, and changes nothing.

import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { inspect, promisify } from 'node:util';
import { attach, type Cluster, type ClusterLink, type OpenOptions, open, VrError } from 'viewstamp';
import { afterAll, beforeAll, expect, test } from 'vitest';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await open({ replicas: 1 });
});
afterAll(async () => {
  await cluster.close();
});

async function unchanged(refused: () => Promise<unknown>, expected: object): Promise<void> {
  const before = (await cluster.status()).replicas[0];
  await expect(refused()).rejects.toMatchObject({ outcome: 'not-executed', ...expected });
  await expect(refused()).rejects.toBeInstanceOf(VrError);
  const after = (await cluster.status()).replicas[0];
  expect(after?.digest).toBe(before?.digest);
  expect(after?.opNumber).toBe(before?.opNumber);
}

test.each([
  ['an empty key', () => cluster.kv.set('', 1), 'VR_KEY_INVALID'],
  ['a key of 1025 bytes', () => cluster.kv.get('k'.repeat(1025)), 'VR_KEY_INVALID'],
  ['a key too long in UTF-8 only', () => cluster.kv.get('ü'.repeat(600)), 'VR_KEY_INVALID'],
  ['a key of another type', () => cluster.kv.get(7 as unknown as string), 'VR_KEY_INVALID'],
  ['a value above 1 MiB', () => cluster.kv.set('a', 'x'.repeat(1 << 20)), 'VR_VALUE_TOO_LARGE'],
  ['bytes above 1 MiB', () => cluster.kv.set('a', new Uint8Array(2 << 20)), 'VR_VALUE_TOO_LARGE'],
  ['a function', () => cluster.kv.set('a', () => 1), 'VR_CODEC'],
  ['a function inside', () => cluster.kv.set('a', { deep: [{ f: () => 1 }] }), 'VR_CODEC'],
  ['a symbol', () => cluster.kv.set('a', Symbol('s')), 'VR_CODEC'],
  ['a huge bigint', () => cluster.kv.set('a', 2n ** 70n), 'VR_CODEC'],
  ['undefined', () => cluster.kv.set('a', undefined), 'VR_CODEC'],
  ['a class instance', () => cluster.kv.set('a', new (class Thing {})()), 'VR_CODEC'],
  [
    'text for bytes',
    () => cluster.kv.namespace('', { encoding: 'bytes' }).set('a', 'text' as never),
    'VR_CODEC',
  ],
  ['incr by a fraction', () => cluster.kv.incr('n', 0.5), 'VR_OUT_OF_RANGE'],
  ['incr of text', () => cluster.kv.namespace('', { encoding: 'utf8' }).incr('n'), 'VR_CONFIG'],
  [
    'incr of JSON in a batch',
    () => cluster.kv.namespace('', { encoding: 'json' }).batch([{ type: 'incr', key: 'n' }]),
    'VR_CONFIG',
  ],
  [
    'incr of JSON in a pipeline',
    async () => cluster.kv.namespace('', { encoding: 'json' }).pipeline().incr('n').submit(),
    'VR_CONFIG',
  ],
  [
    'a namespace with a misspelt option',
    async () => cluster.kv.namespace('', { encodng: 'json' } as object).set('a', 1),
    'VR_CONFIG',
  ],
  [
    'a revision that nobody has',
    () => cluster.kv.set('a', 1, { ifRevision: undefined } as object),
    'VR_CONFIG',
  ],
  [
    'a delete of the revision of what is not there',
    () => cluster.kv.delete('a', { ifRevision: undefined } as object),
    'VR_CONFIG',
  ],
  [
    'a condition that is none',
    () => cluster.kv.set('a', 1, { ifAbsent: false } as object),
    'VR_CONFIG',
  ],
  [
    'a condition that is a word',
    () => cluster.kv.set('a', 1, { ifPresent: 'false' } as object),
    'VR_CONFIG',
  ],
  [
    'an atomic batch above 2 MiB',
    () =>
      cluster.kv.batch(
        Array.from({ length: 4 }, (_, i) => ({
          type: 'set',
          key: `b${i}`,
          value: 'x'.repeat(600_000),
        })),
      ),
    'VR_REQUEST_TOO_LARGE',
  ],
  [
    'an unknown operation',
    () => cluster.kv.batch([{ type: 'put', key: 'a' } as never]),
    'VR_CONFIG',
  ],
  ['a bad deadline', () => cluster.kv.get('a', { timeoutMs: -1 }), 'VR_CONFIG'],
])('%s is refused and changes nothing', async (_what, refused, code) => {
  await unchanged(refused, { code });
});

test('a cyclic value is refused, and the next call works', async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  await unchanged(() => cluster.kv.set('a', cyclic), { code: 'VR_CODEC' });
  await cluster.kv.set('fine', 1);
  expect(await cluster.kv.get('fine')).toBe(1);
});

test('a value of another type, and a sum out of range, leave the key alone', async () => {
  await cluster.kv.set('text', 'abc');
  await expect(cluster.kv.incr('text')).rejects.toMatchObject({ code: 'VR_WRONG_TYPE' });
  await cluster.kv.set('most', Number.MAX_SAFE_INTEGER);
  await expect(cluster.kv.incr('most')).rejects.toMatchObject({ code: 'VR_OUT_OF_RANGE' });
  expect(await cluster.kv.get('text')).toBe('abc');
  expect(await cluster.kv.get('most')).toBe(Number.MAX_SAFE_INTEGER);
});

test.each([
  [{ witnesses: 2 }, /witnesses must be an integer from 0 to 1/],
  [{ replicas: 10 }, /replicas must be an integer from 1 to 9/],
  [{ replicas: 2.5 }, /replicas/],
  [{ limits: { storeBytes: -1 } }, /limits\.storeBytes .* -1/],
  [{ limits: { ringBytes: 100_000 } }, /power of two/],
  [{ limits: { keyBites: 3 } }, /unknown option 'limits\.keyBites'; did you mean 'keyBytes'/],
  [{ replica: 3 }, /did you mean 'replicas'/],
  [{ timing: { viewTimeoutMs: 100 } }, /timing\.viewTimeoutMs must be an integer from 400/],
  [{ limits: { checkpointBytes: 1000 } }, /limits\.checkpointBytes .* from 65536 to \d+, got 1000/],
  [{ timing: { leaseMs: 501 } }, /timing\.leaseMs .* from 0 to 500, got 501/],
  [{ batch: { maxOps: 0 } }, /batch\.maxOps/],
  [{ limits: { logPretouchBytes: -1 } }, /limits\.logPretouchBytes .* from 0 to \d+, got -1/],
  [{ limits: { logPretouchBytes: 1.5 } }, /limits\.logPretouchBytes .* integer .* 1\.5/],
  [{ limits: { logPretouchBytes: '1 MiB' } }, /limits\.logPretouchBytes .* '1 MiB'/],
  [
    { limits: { logBytes: 2 << 20, logPretouchBytes: (2 << 20) + 1 } },
    /limits\.logPretouchBytes .* from 0 to 2097152,/,
  ],
  [
    { limits: { logBytes: 2 ** 32, logPretouchBytes: 2 ** 30 + 1 } },
    /limits\.logPretouchBytes .* from 0 to 1073741824,/,
  ],
  [{ ref: 'yes' }, /ref must be true or false/],
])('open(%o) is refused', async (options, message) => {
  await expect(open(options as unknown as OpenOptions)).rejects.toMatchObject({
    code: 'VR_CONFIG',
    message: expect.stringMatching(message),
  });
});

test('an aborted open ends its threads; an aborted or late call says what is known', async () => {
  const early = AbortSignal.abort(new Error('no'));
  await expect(open({ signal: early })).rejects.toMatchObject({
    code: 'VR_ABORTED',
    name: 'AbortError',
  });
  const soon = new AbortController();
  const opening = open({ signal: soon.signal });
  setTimeout(() => soon.abort(), 20);
  await expect(opening).rejects.toMatchObject({ code: 'VR_ABORTED' });
  await expect(cluster.kv.set('a', 1, { signal: early })).rejects.toMatchObject({
    code: 'VR_ABORTED',
    outcome: 'not-executed',
  });
  // Withdrawn before it was sent: it never happens, its neighbours do.
  const abort = new AbortController();
  const withdrawn = cluster.kv.set('withdrawn', 1, { signal: abort.signal });
  const neighbour = cluster.kv.set('neighbour', 1);
  abort.abort();
  await expect(withdrawn).rejects.toMatchObject({ code: 'VR_ABORTED', outcome: 'not-executed' });
  await neighbour;
  expect(await cluster.kv.has('withdrawn')).toBe(false);
  expect(await cluster.kv.has('neighbour')).toBe(true);
});

test('calls that nobody answers end at their deadline as unknown, and run once all the same', async () => {
  await using three = await open();
  for (const id of [0, 1, 2]) await three.admin.pause(id);
  const late = await three.kv.incr('n', 1, { timeoutMs: 100 }).catch((error) => error);
  expect(late).toMatchObject({ code: 'VR_TIMEOUT', outcome: 'unknown', retryable: true });
  for (const id of [0, 1, 2]) await three.admin.resume(id);
  expect(await three.kv.incr('n')).toBe(2);
});

test('after close every call is refused, and closing twice is fine', async () => {
  const brief = await open({ replicas: 1 });
  await brief.close();
  await brief.close();
  await expect(brief.kv.set('a', 1)).rejects.toMatchObject({
    code: 'VR_CLOSED',
    outcome: 'not-executed',
  });
  await expect(brief.kv.pipeline().get('a').submit()).rejects.toMatchObject({ code: 'VR_CLOSED' });
  await expect(brief.status()).rejects.toMatchObject({ code: 'VR_CLOSED' });
  expect(() => brief.share()).toThrow(expect.objectContaining({ code: 'VR_CLOSED' }));
});

test('a store that is full says so; deletes make room (DT6)', async () => {
  await using small = await open({ replicas: 1, limits: { storeBytes: 2 << 20 } });
  const value = new Uint8Array(50_000);
  let stored = 0;
  for (;;) {
    const full = await small.kv.set(`k${stored}`, value).catch((error) => error);
    if (typeof full === 'number') {
      stored++;
      continue;
    }
    expect(full).toMatchObject({ code: 'VR_STORE_FULL', outcome: 'not-executed', retryable: true });
    break;
  }
  expect(await small.kv.has(`k${stored}`)).toBe(false);
  expect(await small.kv.delete('k0')).toBe(true);
  expect(await small.kv.set('k0', value)).toBeTypeOf('number');
});

test('a small log goes on for ever: checkpoints free it before it is full (CP5, BP6)', async () => {
  await using small = await open({ limits: { logBytes: 4 << 20 } });
  for (let i = 0; i < 200; i++)
    await small.kv.set('large', new Uint8Array(100_000).fill(i), { timeoutMs: 5000 });
  const { replicas } = await small.status();
  for (const { logBytes } of replicas) expect(logBytes).toBeLessThanOrEqual(4 << 20);
});

/** With a witness, nothing is dropped that one of two actives has not: one that stands still holds the log (W7). */
async function heldLog(logBytes: number): Promise<Cluster> {
  const cluster = await open({ witnesses: 1, limits: { logBytes } });
  await cluster.admin.pause(1);
  return cluster;
}

test('a log that is full says so: an event at 80 %, VR_OVERLOADED at the limit, reads go on, and so do writes when it is freed (BP6, W7)', async () => {
  await using small = await heldLog(4 << 20);
  const pressures: boolean[] = [];
  small.on('logpressure', (detail) => pressures.push(detail.full));
  await small.kv.set('first', 'here');
  const value = new Uint8Array(100_000);
  let refused: VrError | null = null;
  for (let i = 0; refused === null && i < 200; i++)
    await small.kv.set('large', value, { timeoutMs: 1000 }).catch((error: VrError) => {
      if (error.code === 'VR_OVERLOADED') refused = error;
    });
  expect(refused).toMatchObject({
    outcome: 'not-executed',
    retryable: true,
    details: { limit: 'logBytes', logBytes: 4 << 20 },
  });
  expect(pressures).toEqual([false, true]);
  expect(await small.kv.get('first')).toBe('here');
  await small.admin.resume(1);
  await expect.poll(() => small.kv.set('freed', 1).then(Boolean, () => false)).toBe(true);
});

test('a log that was made resident holds what any other does, and ends where it ends (BP6)', async () => {
  const stored: number[] = [];
  for (const logPretouchBytes of [0, 4 << 20, 8 << 20]) {
    const limits = { logBytes: 8 << 20, logPretouchBytes };
    const small = await open({ witnesses: 1, limits });
    await small.admin.pause(1);
    let count = 0;
    let refused: VrError | null = null;
    // The one that finds the log full has its number already, and waits for room: only the next is refused.
    while (refused === null && count < 200)
      await small.kv.set(`${count}`, new Uint8Array(100_000).fill(count), { timeoutMs: 1000 }).then(
        () => count++,
        (error: VrError) => {
          if (error.code === 'VR_OVERLOADED') refused = error;
        },
      );
    expect(refused).toMatchObject({ details: { limit: 'logBytes', logBytes: 8 << 20 } });
    const pipeline = small.kv.pipeline();
    for (let i = 0; i < 200; i++) pipeline.get(`${i}`);
    const result = await pipeline.submit();
    for (let i = 0; i < 200; i++)
      if (i >= count) expect(result.value(i)).toBeUndefined();
      else expect(Buffer.alloc(100_000, i).equals(result.value(i) as Buffer)).toBe(true);
    stored.push(count);
    await small.close({ drainMs: 0 });
  }
  expect(stored[0]).toBeGreaterThan(50);
  expect(stored).toEqual(stored.map(() => stored[0]));
});

test('limits on clients and links', async () => {
  await expect(attach({} as unknown as ClusterLink)).rejects.toMatchObject({ code: 'VR_CONFIG' });
  await using crowded = await open({ replicas: 1, limits: { clients: 2 } });
  const link = crowded.share();
  const second = await attach(link.data);
  await second.kv.set('from', 'second');
  await expect(attach(crowded.share().data)).rejects.toMatchObject({ code: 'VR_OVERLOADED' });
  await second.close();
  const third = await attach(crowded.share().data);
  expect(await third.kv.get('from')).toBe('second');
  await third.close();
});

test('joining ends at its own deadline or signal, and leaves no member', async () => {
  await using cluster = await open({ replicas: 1 });
  const other = new AbortController();
  await cluster.admin.pause(0);
  const late = attach(cluster.share().data, { joinTimeoutMs: 50 });
  await expect(late).rejects.toMatchObject({
    code: 'VR_TIMEOUT',
    outcome: 'not-executed',
    retryable: false,
    message: expect.stringMatching(/longer than joinTimeoutMs = 50; share\(\) makes a link/),
  });
  const aborted = attach(cluster.share().data, { signal: other.signal });
  setImmediate(() => other.abort(new Error('no')));
  await expect(aborted).rejects.toMatchObject({ code: 'VR_ABORTED', outcome: 'not-executed' });
  await cluster.admin.resume(0);
  await expect.poll(async () => (await cluster.status()).clients).toEqual(['opener']);
  for (const joinTimeoutMs of [0, 1.5, '1 s'])
    await expect(attach(cluster.share().data, { joinTimeoutMs } as object)).rejects.toMatchObject({
      code: 'VR_CONFIG',
      details: { path: 'joinTimeoutMs' },
    });
});

test.each<[string, (on: (...given: unknown[]) => unknown) => unknown, RegExp]>([
  [
    'an event that there is not',
    (on) => on('nope', () => 1),
    /^event must be .*close, got 'nope'$/,
  ],
  ['no event', (on) => on(undefined, () => 1), /^event must be .*viewchange, .* got undefined$/],
  ['no listener', (on) => on('close', undefined), /^listener must be a function, got undefined$/],
  ['an object', (on) => on('close', {}), /^listener must be a function, got \{\}$/],
  ['a misspelt option', (on) => on('close', () => 1, { onse: true }), /did you mean 'once'/],
  ['a signal that is none', (on) => on('close', () => 1, { signal: 1 }), /AbortSignal, got 1$/],
])('%s instead of a listener to an event is refused', (_what, listen, message) => {
  const refused = expect.objectContaining({
    code: 'VR_CONFIG',
    message: expect.stringMatching(message),
  });
  const { on, addEventListener } = cluster as unknown as Record<string, () => unknown>;
  expect(() => listen((...given) => on?.apply(cluster, given as []))).toThrow(refused);
  expect(() => listen((...given) => addEventListener?.apply(cluster, given as []))).toThrow(
    refused,
  );
});

test.each([7, -1, 0.5, '0', undefined, () => 0])('replica %o is none', async (replica) => {
  const { admin } = cluster;
  const calls = [admin.kill, admin.pause, admin.resume, admin.restart];
  for (const call of calls)
    await expect(call(replica as number)).rejects.toMatchObject({
      code: 'VR_CONFIG',
      message: `replica must be an integer from 0 to 0, got ${inspect(replica)}`,
    });
});

test.each([
  [null, /^consistency must be linearizable, session, local, \{ maxStaleMs \}, got null$/],
  ['strong', /^consistency must be .*, got 'strong'$/],
  [{ maxStaleMs: undefined }, /^consistency\.maxStaleMs must be an integer from 1 .* undefined$/],
  [{ stale: 1 }, /^unknown option 'consistency\.stale'/],
])('consistency %o is none', async (consistency, message) => {
  const refused = { code: 'VR_CONFIG', message: expect.stringMatching(message) };
  await expect(cluster.kv.get('a', { consistency } as object)).rejects.toMatchObject(refused);
  await expect(open({ consistency } as object)).rejects.toMatchObject(refused);
});

test('a prefix is well-formed text that leaves room for a key', async () => {
  const { kv } = cluster;
  const refused = (prefix: unknown, message: RegExp): void =>
    expect(() => kv.namespace(prefix as string)).toThrow(
      expect.objectContaining({
        code: 'VR_KEY_INVALID',
        message: expect.stringMatching(message),
        details: { key: prefix },
      }),
    );
  refused('a\ud800', /^a prefix must be well-formed Unicode, got 'a\\uD800'$/i);
  refused(7, /^a prefix must be a string, got 7$/);
  refused('p'.repeat(1024), /at most limits\.keyBytes - 1 = 1023 bytes, got 1024$/);
  refused('ü'.repeat(512), /1023 bytes, got 1024$/);
  const half = kv.namespace('p'.repeat(512));
  expect(() => half.namespace('p'.repeat(512))).toThrow(/1023 bytes, got 1024$/);
  const most = half.namespace('p'.repeat(511));
  await most.set('k', 1);
  expect(await most.get('k')).toBe(1);
  await expect(most.get('kk')).rejects.toMatchObject({
    message:
      'a key must have at most limits.keyBytes = 1024 bytes, of which the prefix of its namespace takes 1023',
  });
});

test('stored bytes that cannot be read are named by their key', async () => {
  await cluster.kv.namespace('', { encoding: 'utf8' }).set('no-json', '{');
  const json = cluster.kv.namespace('no-', { encoding: 'json' });
  const reads = [
    () => json.get('json'),
    () => json.get('json', { timeoutMs: 5000 }),
    () => json.getItem('json'),
    () => json.getMany(['absent', 'json']),
    () => json.update('json', () => 1),
  ];
  for (const read of reads)
    await expect(read()).rejects.toMatchObject({
      code: 'VR_CODEC',
      message: "the stored bytes are no json, at key 'json'",
      details: { encoding: 'json', key: 'json' },
      cause: expect.any(SyntaxError),
    });
});

test('an update that is too late before it writes has changed nothing', async () => {
  const { kv } = cluster;
  await kv.set('late', 1);
  const slow = (): number => {
    const end = performance.now() + 60;
    while (performance.now() < end);
    return 2;
  };
  await expect(kv.update('late', slow, { timeoutMs: 50 })).rejects.toMatchObject({
    code: 'VR_TIMEOUT',
    outcome: 'not-executed',
  });
  expect(await kv.get('late')).toBe(1);
  await cluster.admin.pause(0);
  const unanswered = kv.update('late', () => 3, { timeoutMs: 50 });
  await expect(unanswered).rejects.toMatchObject({ code: 'VR_TIMEOUT', outcome: 'not-executed' });
  await cluster.admin.resume(0);
  expect(await kv.get('late')).toBe(1);
});

test('one signal for many calls is no leak, and ends each of them', async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): number => warnings.push(warning);
  process.on('warning', onWarning);
  try {
    const abort = new AbortController();
    const { signal } = abort;
    const { kv, echo } = cluster;
    const round = (): Promise<unknown>[] =>
      Array.from({ length: 12 }, (_, i) => [
        kv.set(`s${i}`, i, { signal }),
        kv.getItem(`s${i}`, { signal }),
        kv.pipeline().get(`s${i}`).submit({ signal }),
        echo.ping({ signal }),
        cluster.status({ signal }),
      ]).flat();
    await Promise.all(round());
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    const ended = Promise.allSettled(round());
    abort.abort(new Error('enough'));
    for (const call of await ended)
      expect(call).toMatchObject({
        reason: { code: 'VR_ABORTED', cause: { message: 'enough' } },
      });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(warnings).toEqual([]);
  } finally {
    process.off('warning', onWarning);
  }
});

/** What `code` makes of the runtime before the package is loaded, in a process of its own. */
const LACKING = [
  ['delete Atomics.waitAsync', 'Atomics.waitAsync is missing'],
  ['delete globalThis.SharedArrayBuffer', 'SharedArrayBuffer is missing'],
  ['globalThis.Bun = {}', 'Bun is untested'],
  [
    "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.18.3' } })",
    'Node 20.18.3 is older than 20.19',
  ],
] as const;

test.each(LACKING)('a runtime after `%s` is refused: %s', async (code, why) => {
  const index = new URL('../../dist/index.js', import.meta.url).href;
  const script = `${code}; const { open } = await import('${index}');
    await open().catch((error) => console.log(error.code, error.message));`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    script,
  ]);
  expect(stdout.trim()).toBe(`VR_UNSUPPORTED viewstamp cannot run here: ${why}`);
});

test('flags of the engine are no reason not to open', async () => {
  const index = new URL('../../dist/index.js', import.meta.url).href;
  const script = `const { open } = await import('${index}');
    const cluster = await open();
    await cluster.kv.set('key', 'value');
    console.log(await cluster.kv.get('key'));
    await cluster.close();`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...['--max-old-space-size=512', '--stack-trace-limit=20', '--enable-source-maps'],
    ...['--input-type=module', '--eval', script],
  ]);
  expect(stdout.trim()).toBe('value');
});

test('the command says the same in a line, and with an exit code of its own', async () => {
  const main = new URL('../../dist/cli/main.js', import.meta.url).pathname;
  const preload = 'data:text/javascript,delete Atomics.waitAsync';
  const run = promisify(execFile)(process.execPath, ['--import', preload, main, 'demo']);
  await expect(run).rejects.toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/^error: .*Atomics.waitAsync is missing \(VR_UNSUPPORTED\)\n$/),
  });
});
