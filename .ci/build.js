// Builds `dist/` from `src/`, and puts `remit` into `node_modules/.bin` beside the Node that the project brings.
//
//   node .ci/build.js              build
//   node .ci/build.js --prepare    the same, but where TypeScript is not installed (`npm ci --omit=dev`) say so and succeed:
//                                  a package or an image brings a `dist/` of its own

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = `${root}node_modules/typescript/bin/tsc`;
const main = `${root}dist/main.js`;

if (process.argv.includes('--prepare') && !existsSync(compiler)) {
  if (!existsSync(main))
    console.error('remit: TypeScript is not installed, so `dist/` is not built: run `npm ci && npm run build`');
  process.exit(0);
}
rmSync(`${root}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [compiler, '-p', `${root}tsconfig.build.json`], { stdio: 'inherit' });
chmodSync(main, 0o755);
writeFileSync(`${root}dist/version.txt`, `${version()}\n`);
linkCommand();

/** `1.2.3+84bff23a9c01`, with the commit as build metadata where git knows it; `.dirty` where tracked files differ from it. */
function version() {
  const release = JSON.parse(readFileSync(`${root}package.json`, 'utf8')).version;
  if (!existsSync(`${root}.git`)) return release;
  const git = (...args) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const isDirty = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${release}+${git('rev-parse', '--short=12', 'HEAD')}${isDirty ? '.dirty' : ''}`;
  } catch {
    return release;
  }
}

/** With `node_modules/.bin` on the path, `remit` is the command of this folder and never one from the registry. */
function linkCommand() {
  const folder = `${root}node_modules/.bin`;
  if (!existsSync(folder)) return;
  rmSync(`${folder}/remit`, { force: true });
  try {
    symlinkSync('../../dist/main.js', `${folder}/remit`);
  } catch (error) {
    console.error(`remit: cannot link \`${folder}/remit\`: ${error.code}; call \`dist/main.js\` by its path`);
  }
}
