// The grid of a search: every combination of the values of some axes, as one number each. Neighbours on an axis are expected to do
// about equally well, which is what makes a coarse first look worth something.

export interface Coarse {
  readonly points: readonly number[];
  /** Of each axis, how far apart they lie on it. */
  readonly strides: readonly number[];
}

export class Lattice {
  readonly #sizes: readonly number[];

  /** `sizes`: values of each axis, at least one. */
  constructor(sizes: readonly number[]) {
    this.#sizes = sizes;
  }

  get points(): number {
    return this.#sizes.reduce((product, size) => product * size, 1);
  }

  /** The place on each axis; the last axis varies fastest. */
  places(point: number): number[] {
    let rest = point;
    const places = this.#sizes.map(() => 0);
    for (let axis = this.#sizes.length - 1; axis >= 0; axis--) {
      const size = this.#sizes[axis] as number;
      places[axis] = rest % size;
      rest = Math.floor(rest / size);
    }
    return places;
  }

  #point(places: readonly number[]): number {
    return places.reduce((point, place, axis) => point * (this.#sizes[axis] as number) + place, 0);
  }

  /**
   * At most `most` points, evenly spread, the ends of every axis among them; more only where the ends alone are more. The axis
   * that still has the most values gives up every second one first.
   */
  coarse(most: number): Coarse {
    const strides = this.#sizes.map(() => 1);
    const kept = (): number[][] => strides.map((stride, axis) => this.#kept(axis, stride));
    for (;;) {
      const axes = kept();
      const count = axes.reduce((product, places) => product * places.length, 1);
      const lengths = axes.map((places) => places.length);
      const longest = lengths.indexOf(Math.max(...lengths));
      if (count <= most || (lengths[longest] as number) <= 2)
        return { points: this.#product(axes), strides };
      strides[longest] = (strides[longest] as number) * 2;
    }
  }

  #kept(axis: number, stride: number): number[] {
    const last = (this.#sizes[axis] as number) - 1;
    const places: number[] = [];
    for (let place = 0; place < last; place += stride) places.push(place);
    return [...places, last];
  }

  #product(axes: readonly (readonly number[])[]): number[] {
    const combined = axes.reduce<number[][]>(
      (all, places) => all.flatMap((point) => places.map((place) => [...point, place])),
      [[]],
    );
    return combined.map((places) => this.#point(places));
  }

  /** The points `steps` away from `point`, on one axis at a time. */
  neighbours(point: number, steps: readonly number[]): number[] {
    const places = this.places(point);
    return places.flatMap((place, axis) =>
      [place - (steps[axis] as number), place + (steps[axis] as number)]
        .filter((moved) => moved >= 0 && moved < (this.#sizes[axis] as number))
        .map((moved) => this.#point(places.with(axis, moved))),
    );
  }
}
