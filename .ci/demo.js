// `npm run demo`: the demo of the build, or with `--kubernetes` the one that plays in the cluster of the tests.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const words = process.argv.slice(2);
const program = words.includes('--kubernetes')
  ? ['--no-warnings', join(root, 'test/cluster/show.ts'), ...words.filter((word) => word !== '--kubernetes')]
  : [join(root, 'dist/main.js'), 'demo', ...words];
const { signal, status } = spawnSync(process.execPath, program, { stdio: 'inherit' });
process.exitCode = status ?? (signal === null ? 1 : 128);
