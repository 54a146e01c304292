// What runs the built package (a worker file must exist as JavaScript) has it built first.
import { execFileSync } from 'node:child_process';

export default function build(): void {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-b', 'bench'], {
    stdio: 'inherit',
  });
}
