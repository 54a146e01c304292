// A service of so many pages of one size, in which each request writes to one page: its state does not grow with its history, and
// how much of it differs is up to the script. And a stage on which it is the service.

import type { ClientOutcome } from '../../src/protocol/client-event.js';
import type { Message } from '../../src/protocol/message.js';
import type {
  ApplyContext,
  ListContent,
  PagedState,
  ResultSink,
  StateMachine,
} from '../../src/protocol/state-machine.js';
import { type Faults, patternOf, type StoryOptions } from '../../src/simulation/cast.js';
import type { Submission } from '../../src/simulation/client-actor.js';
import type { Envelope, Rule } from '../../src/simulation/network.js';
import { Stage } from '../../src/simulation/stage.js';

const PAGE_BYTES = 256;
const RESULT_BYTES = 4;

type Pages = readonly Uint8Array[];

/** Pages are never changed in place, so an image is a list of them. */
class GridPages implements PagedState {
  readonly pageBytes = PAGE_BYTES;
  readonly lists = 1;
  now: Uint8Array[];
  readonly #images = new Map<number, Pages>();
  readonly #before = new Map<number, Pages>();
  #newest: Pages | null = null;

  constructor(count: number) {
    this.now = Array.from({ length: count }, () => new Uint8Array(PAGE_BYTES));
  }

  get liveBytes(): number {
    return this.now.length * PAGE_BYTES;
  }

  freeze(op: number): void {
    if (this.#newest !== null) this.#before.set(op, this.#newest);
    this.#newest = [...this.now];
    this.#images.set(op, this.#newest);
  }

  release(op: number): void {
    this.#images.delete(op);
    this.#before.delete(op);
  }

  #image(op: number): Pages {
    const image = this.#images.get(op);
    if (image === undefined) throw new Error(`no image of op ${op}`);
    return image;
  }

  pageCount(op: number): number {
    return this.#image(op).length;
  }

  page(op: number, _list: number, index: number): Uint8Array {
    return this.#image(op)[index] as Uint8Array;
  }

  changed(op: number, _list: number, index: number): boolean {
    return this.#image(op)[index] !== this.#before.get(op)?.[index];
  }

  restore(from: number | null, content: readonly ListContent[]): void {
    const known = from === null ? [] : this.#image(from);
    const { count, pages } = content[0] as ListContent;
    this.now = Array.from({ length: count }, (_, index) => {
      const page = pages.get(index) ?? known[index];
      if (page === undefined) throw new Error(`page ${index} is missing`);
      return page.slice();
    });
    this.#images.clear();
    this.#before.clear();
    this.#newest = null;
  }
}

export class GridMachine implements StateMachine {
  readonly pages: GridPages;

  constructor(count: number) {
    this.pages = new GridPages(count);
  }

  apply(_: ApplyContext, bytes: Uint8Array, from: number, _to: number, sink: ResultSink): void {
    const request = new DataView(bytes.buffer, bytes.byteOffset + from);
    const index = request.getUint32(0, true);
    const page = (this.pages.now[index] as Uint8Array).slice();
    new DataView(page.buffer).setUint32(0, request.getUint32(4, true), true);
    this.pages.now[index] = page;
    sink.length = sink.reserve(RESULT_BYTES) + RESULT_BYTES;
  }

  read(_bytes: Uint8Array, _from: number, _to: number, sink: ResultSink): void {
    sink.length = sink.reserve(RESULT_BYTES) + RESULT_BYTES;
  }

  digest(): string {
    return this.pages.now.map((page) => new DataView(page.buffer).getUint32(0, true)).join();
  }
}

export class Grid extends Stage<GridMachine, Submission> {
  readonly #pages: number;

  constructor(pages: number, options: StoryOptions) {
    super(options);
    this.#pages = pages;
    this.begin();
  }

  protected override makeMachine(): GridMachine {
    return new GridMachine(this.#pages);
  }

  override issued(): void {}

  override settled(_call: Submission, outcome: ClientOutcome): void {
    if (outcome.code !== 'ok') throw this.failure(`a write was answered ${outcome.code}`);
  }

  write(page: number, value: number, client = 0): void {
    const body = new Uint8Array(8);
    new DataView(body.buffer).setUint32(0, page, true);
    new DataView(body.buffer).setUint32(4, value, true);
    const rest = { session: 0, code: null, abandoned: false } as const;
    this.client(client).enqueue({ kind: 'write', body, replyBytes: RESULT_BYTES, ...rest });
  }

  /** Until every write is answered; then the calls are forgotten. */
  answered(): void {
    const open = (): boolean =>
      this.clients.some((client) => client.openCalls + client.waiting.length > 0);
    this.until(() => !open(), 20_000, 'an answer to every write');
    for (const client of this.clients) client.calls.length = 0;
  }

  /** Until all are normal in one view and have executed the same, with equal pages. */
  agreed(): void {
    this.together();
    const [first] = this.states;
    this.until(
      () =>
        this.states.every(({ applied, commit }) => applied === commit && commit === first?.commit),
      1000,
      'equal states',
    );
    const digests = this.actors.flatMap((actor) =>
      actor?.machine ? [actor.machine.digest()] : [],
    );
    if (new Set(digests).size !== 1) throw this.failure('I11 pages differ');
  }

  rule(action: 'drop' | 'hold' | 'record', faults: Faults): Rule {
    return this.network.addRule(action, patternOf(this, faults));
  }
}

/** What came of messages that a rule kept. */
export interface Cost {
  readonly messages: number;
  readonly bytes: number;
  readonly entries: number;
  readonly pages: number;
}

export function costOf(kept: readonly Envelope[]): Cost {
  const sum = { messages: kept.length, bytes: 0, entries: 0, pages: 0 };
  for (const { bytes, message } of kept) {
    sum.bytes += bytes;
    sum.entries += entriesIn(message);
    if (message.kind === 'pages') sum.pages += message.indices.length;
  }
  return sum;
}

function entriesIn(message: Message): number {
  if (message.kind === 'prepare' || message.kind === 'newState') return message.entries.length;
  if (message.kind === 'startView' || message.kind === 'doViewChange') return message.tail.length;
  return 0;
}
