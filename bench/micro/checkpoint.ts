// What checkpoints cost a store: freezing its pages, copying those that change afterwards, and hashing them.

import { loadDigest } from '#dist/actors/replica/digest.js';
import { formatCount } from '#dist/cli/units.js';
import { CANONICAL } from '#dist/cli/workload.js';
import { climb, emptyTree, grow, grown, putLeaf } from '#dist/protocol/checkpoint/merkle.js';
import { PAGE_BYTES } from '#dist/service/paged-heap.js';
import { once, type Piece, type Scale } from './piece.js';
import { BATCH, requestsOf, Store } from './store.js';

/** Requests between two images. */
const ROUND = 16;
/** Sets of random keys for each key there is: nearly all are set at least once. */
const SETS_PER_KEY = 2.5;

/** A store of many pages; the op-numbers that name its images only grow. */
class Imaged {
  readonly #store: Store;
  #op = 0;

  constructor(keyspace: number) {
    const requests = Math.ceil((SETS_PER_KEY * keyspace) / BATCH);
    this.#store = new Store(requestsOf('set', requests, BATCH, { ...CANONICAL, keyspace }));
    for (let at = 0; at < requests; at++) this.#store.apply();
  }

  freeze(): void {
    this.#store.services.freeze(++this.#op);
  }

  release(): void {
    this.#store.services.release(this.#op);
  }

  get pages(): number {
    return this.#store.services.kv.heap.pageCount();
  }

  page(index: number): Uint8Array {
    return this.#store.services.kv.heap.page(index);
  }

  /** Copies every page that the sets touch, where there is an image. */
  sets(): void {
    for (let at = 0; at < ROUND; at++) this.#store.apply();
  }
}

function images(keyspace: number, imaged: () => Imaged): Piece[] {
  const count = ROUND * BATCH;
  const what = `image: execute a set, ${formatCount(keyspace)} keys`;
  return [
    {
      name: `${what}, no image`,
      start: () => {
        const one = imaged();
        return { count, run: () => one.sets() };
      },
    },
    {
      name: `${what}, an image every ${formatCount(count)}`,
      start: () => {
        const one = imaged();
        return {
          count,
          run: () => {
            one.freeze();
            one.sets();
            one.release();
          },
        };
      },
    },
    {
      name: 'image: freeze and release a page',
      start: () => {
        const one = imaged();
        return {
          count: one.pages,
          run: () => {
            one.freeze();
            one.release();
          },
        };
      },
    },
  ];
}

function hashing(imaged: () => Imaged): Piece[] {
  const digest = once(loadDigest);
  return [
    {
      name: 'checkpoint: digest of a page',
      bytes: PAGE_BYTES,
      start: async () => {
        const one = imaged();
        const digest64 = await digest();
        const out = new Uint32Array(2);
        const count = one.pages;
        return {
          count,
          run: () => {
            for (let at = 0; at < count; at++) digest64(one.page(at), 0, PAGE_BYTES, out);
          },
        };
      },
    },
    {
      name: 'checkpoint: digest of a page and its share of the tree',
      bytes: PAGE_BYTES,
      start: async () => {
        const one = imaged();
        const digest64 = await digest();
        const out = new Uint32Array(2);
        const count = one.pages;
        return {
          count,
          run: () => {
            const growth = grow(emptyTree(), count);
            for (let at = 0; at < count; at++) {
              digest64(one.page(at), 0, PAGE_BYTES, out);
              putLeaf(growth, at, out);
            }
            climb(growth, Number.POSITIVE_INFINITY, digest64);
            if (!grown(growth)) throw new Error('the tree is not complete');
          },
        };
      },
    },
  ];
}

export function checkpoint({ imageKeys }: Scale): Piece[] {
  const imaged = once(() => new Imaged(imageKeys));
  return [...images(imageKeys, imaged), ...hashing(imaged)];
}
