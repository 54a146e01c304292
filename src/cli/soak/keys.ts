// The keys of a soak. Few, so that clients meet on them; in groups, for what one atomic batch touches has to be checked together.

/** Keys by place; a key's group is what is checked at once. */
export interface KeySpace {
  readonly keys: readonly string[];
  readonly groups: readonly (readonly number[])[];
  /** Registers that everybody uses, and those of one client. */
  readonly shared: readonly number[];
  readonly own: readonly (readonly number[])[];
  /** Counters: those of everybody, and the one of each client, which it alone raises, by one. */
  readonly sharedCounters: readonly number[];
  readonly ownCounters: readonly number[];
  /** Two registers and a counter each, for batches. */
  readonly trios: readonly (readonly [number, number, number])[];
}

const SHARED = 8;
const OWN = 2;
const SHARED_COUNTERS = 2;
const SHARED_TRIOS = 2;

/** `clients`: threads. */
export function keySpace(clients: number): KeySpace {
  const keys: string[] = [];
  const groups: number[][] = [];
  const add = (...names: string[]): number[] => {
    const group = names.map((name) => keys.push(name) - 1);
    groups.push(group);
    return group;
  };
  const single = (name: string): number => add(name)[0] as number;
  const list = <T>(count: number, make: (index: number) => T): T[] =>
    Array.from({ length: count }, (_, index) => make(index));
  return {
    keys,
    groups,
    shared: list(SHARED, (index) => single(`shared:${index}`)),
    own: list(clients, (client) => list(OWN, (index) => single(`own:${client}:${index}`))),
    sharedCounters: list(SHARED_COUNTERS, (index) => single(`n:shared:${index}`)),
    ownCounters: list(clients, (client) => single(`n:own:${client}`)),
    trios: list(
      SHARED_TRIOS + clients,
      (index) =>
        add(`left:${index}`, `right:${index}`, `n:trio:${index}`) as [number, number, number],
    ),
  };
}

/** Trios that a client uses: those of everybody, and its own. */
export function triosOf(
  space: KeySpace,
  client: number,
): readonly (readonly [number, number, number])[] {
  const own = space.trios[SHARED_TRIOS + client];
  const shared = space.trios.slice(0, SHARED_TRIOS);
  return own === undefined ? shared : [...shared, own];
}
