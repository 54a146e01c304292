// The live tests run the built package (a worker file must exist as JavaScript), so build it first.
import { execFileSync } from 'node:child_process';

export default function build(): void {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'src'], {
    stdio: 'inherit',
  });
}
