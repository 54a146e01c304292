// `npm run kernel`: compiles the loops in src/service/kernel/assembly and writes them as a module that the service can import, so that
// nobody who builds or installs needs the compiler. With `--check` it writes nothing, and ends with 1 where that module is another.

import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const SOURCE = new URL('../src/service/kernel/assembly/index.ts', import.meta.url);
const TARGET = new URL('../src/service/kernel/code.ts', import.meta.url);
const LINE = 90;

async function compiled() {
  let code = null;
  const options = ['--runtime', 'stub', '--importMemory', '--noAssert', '--enable', 'simd', '-O3'];
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'kernel.wasm', ...options], {
    readFile: (name) => (name === 'index.ts' ? readFile(SOURCE, 'utf8') : null),
    writeFile: (name, contents) => {
      if (name === 'kernel.wasm') code = contents;
    },
    listFiles: () => [],
  });
  if (error !== null) throw new Error(`${error.message}\n${stderr.toString()}`);
  return Buffer.from(code).toString('base64');
}

async function main() {
  const code = await compiled();
  const lines = code.match(new RegExp(`.{1,${LINE}}`, 'g')).map((line) => `  '${line}'`);
  const text = `// Made by \`npm run kernel\` from assembly/index.ts. Do not edit.\n
/** The bytes of the WebAssembly module, as base64. */
export const CODE: string =\n${lines.join(' +\n')};\n`;
  if (!process.argv.includes('--check')) await writeFile(TARGET, text);
  else if ((await readFile(TARGET, 'utf8')) !== text) {
    console.error(`${fileURLToPath(TARGET)} is not what its source makes: npm run kernel`);
    process.exitCode = 1;
  }
}

await main();
