import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { open } from 'lmdb';
import { expect, test } from 'vitest';
import { DamagedFile, PageFile } from '../../src/storage/page-file.js';
import { temporaryPath } from './kit.js';

function openLmdb(path: string) {
  return open<Buffer, Buffer>({
    path,
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
  });
}

function read(path: string): Map<string, string> {
  const records = new Map<string, string>();
  const fd = openSync(path, 'r');
  try {
    new PageFile(fd).walk((key, value, _at, size) => {
      expect(value.length).toBe(size);
      records.set(key.toString('hex'), value.toString('hex'));
    });
  } finally {
    closeSync(fd);
  }
  return records;
}

const size = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 1900, max: 2100 }),
  fc.integer({ min: 4000, max: 4200 }),
  fc.integer({ min: 0, max: 30_000 }),
);
const change = fc.record({ key: fc.integer({ min: 0, max: 400 }), size, remove: fc.boolean() });

test('it reads what LMDB wrote, whatever was put and removed before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(change, { minLength: 1, maxLength: 60 }), { minLength: 1, maxLength: 25 }),
      (transactions) => {
        const path = join(temporaryPath(), 'environment');
        const database = openLmdb(path);
        const model = new Map<string, string>();
        for (const changes of transactions) {
          database.transactionSync(() => {
            for (const { key, size, remove } of changes) {
              const name = Buffer.from(`key ${String(key % 7).repeat(key % 90)} ${key}`);
              const value = Buffer.alloc(size, key);
              if (remove) database.removeSync(name);
              else database.putSync(name, value);
              if (remove) model.delete(name.toString('hex'));
              else model.set(name.toString('hex'), value.toString('hex'));
            }
          });
          const records = read(path);
          expect(records.size).toBe(model.size);
          for (const [key, value] of model) expect(records.get(key)).toBe(value);
        }
        void database.close();
      },
    ),
    { numRuns: 12 },
  );
}, 60_000);

test('an empty environment has no records, and an empty file is damaged', () => {
  const path = join(temporaryPath(), 'environment');
  void openLmdb(path).close();
  expect(read(path).size).toBe(0);
  writeFileSync(path, '');
  expect(() => read(path)).toThrow(DamagedFile);
});

/** Three levels, long values, and pages that were freed. */
function example(): { path: string; good: Buffer } {
  const path = join(temporaryPath(), 'environment');
  const database = openLmdb(path);
  for (let round = 0; round < 3; round++)
    database.transactionSync(() => {
      for (let key = 0; key < 300; key++) {
        const name = Buffer.alloc(100, key);
        name.writeUInt32BE(key);
        if (round === 2 && key % 3 === 0) database.removeSync(name);
        else database.putSync(name, Buffer.alloc(key % 50 === 0 ? 9000 : 150, key));
      }
    });
  void database.close();
  rmSync(`${path}-lock`);
  return { path, good: readFileSync(path) };
}

function expectDamage(path: string, good: Buffer, change: (bytes: Buffer) => void, why: RegExp) {
  const bytes = Buffer.from(good);
  change(bytes);
  writeFileSync(path, bytes);
  expect(() => read(path)).toThrow(why);
}

test('what LMDB would follow to its ruin is refused', () => {
  const { path, good } = example();
  const newest = good.readBigUInt64LE(152) > good.readBigUInt64LE(4096 + 152) ? 0 : 4096;
  const root = Number(good.readBigUInt64LE(newest + 24 + 72 + 40));
  const freeRoot = Number(good.readBigUInt64LE(newest + 24 + 24 + 40));
  const rootAt = root * 4096;
  const node = rootAt + 24 + good.readUInt16LE(rootAt + 24);
  expectDamage(path, good, (b) => b.writeUInt32LE(root, node), /used twice|deeper/);
  expectDamage(path, good, (b) => b.writeUInt32LE(1 << 20, node), /of which there are/);
  expectDamage(path, good, (b) => b.writeUInt16LE(4090, rootAt + 24), /outside its bounds/);
  expectDamage(path, good, (b) => b.writeUInt16LE(4001, rootAt + 20), /bounds/);
  expectDamage(path, good, (b) => b.writeUInt32LE(root + 1, rootAt), /another one/);
  expectDamage(path, good, (b) => b.writeUInt32LE(9999, rootAt + 8), /future/);
  expectDamage(path, good, (b) => b.writeUInt16LE(2, rootAt + 18), /flags 2/);
  expectDamage(
    path,
    good,
    (b) => b.writeUInt32LE(freeRoot, newest + 24 + 72 + 40),
    /flags|twice|tree/,
  );
  expectDamage(path, good, (b) => b.writeUInt32LE(7, newest + 24 + 72 + 32), /entries/);
  // A page in use that the free list offers would be overwritten.
  const freeAt = freeRoot * 4096;
  const freeNode = freeAt + 24 + good.readUInt16LE(freeAt + 24);
  const list = freeNode + 8 + 8;
  const offset = list + 8;
  expectDamage(path, good, (b) => b.writeBigInt64LE(BigInt(root), offset), /used twice/);
  expectDamage(path, good, (b) => b.writeBigInt64LE(BigInt(1 << 30), offset), /of which there are/);
  expectDamage(path, good, (b) => b.writeBigInt64LE(9999n, list), /too long/);
});

test('a flipped bit never makes it lose or invent a record, loop, or fail otherwise', () => {
  const { path, good } = example();
  const reference = read(path);
  const pages = good.length / 4096;
  const sizes = new Set<number>();
  let refused = 0;
  for (let at = 0; at < 400; at++) {
    const bytes = Buffer.from(good);
    // Headers and the first nodes' offsets of every page, then anywhere.
    const byte =
      at < 300
        ? (at % pages) * 4096 + ((at * 7) % 80)
        : Math.floor((at * 0.618034 * good.length) % good.length);
    bytes[byte] = (bytes[byte] as number) ^ (1 << (at % 8));
    writeFileSync(path, bytes);
    try {
      sizes.add(read(path).size);
    } catch (error) {
      expect(error).toBeInstanceOf(DamagedFile);
      refused++;
    }
  }
  expect([...sizes]).toEqual([reference.size]);
  expect(refused).toBeGreaterThan(20);
}, 60_000);

test('a file that ends too early is refused', () => {
  const { path, good } = example();
  for (let end = 0; end < good.length - 4096; end += 3000) {
    writeFileSync(path, good.subarray(0, end));
    try {
      read(path);
    } catch (error) {
      expect(error).toBeInstanceOf(DamagedFile);
      continue;
    }
    // Only pages that were free may be missing.
    expect(end).toBeGreaterThan(good.length / 2);
  }
});
