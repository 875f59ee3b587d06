// Builds `dist/` from `src/`, and puts `remit` into `node_modules/.bin` beside the Node that the project brings.
//
//   node .ci/build.js              build
//   node .ci/build.js --prepare    the same, but where the bundler is not installed (`npm ci --omit=dev`) say so and succeed:
//                                  a package or an image brings a `dist/` of its own
//
// `dist/main.js` is the command. What it and the threads load is in `dist/program/`, bundled with the packages it needs, so that a start opens
// few files. Each command and each role is loaded only where it is used. The engine of the policies stays a package, which is loaded by path.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const main = `${root}dist/main.js`;

/** Started by their paths: the threads, and the process that watches over a run. */
const STARTED_BY_PATH = [
  'src/core/policy/loading/compile-worker.ts',
  'src/core/ledger/log/log-worker.ts',
  'src/serve/ledger/witness/witness-worker.ts',
  'src/serve/ledger/indexing/index-worker.ts',
  'src/authority/state/sqlite/authority-worker.ts',
  'src/agent/run/watcher-process.ts',
  'src/cli/thread/command-worker.ts',
];

/** What `dist/main.js` loads to serve, and its source. */
const SERVER = { './program/serve.js': 'src/cli/serve.ts' };

/** Leaves the server out, which has a build of its own. */
const serverOutside = {
  name: 'server-outside',
  resolveId: (id, importer) => {
    if (!/\/src\/(?:main|cli\/command-table)\.ts$/.test(importer ?? '')) return null;
    const source = resolve(dirname(importer), id);
    const outside = Object.keys(SERVER).find((name) => source === `${root}${SERVER[name]}`);
    return outside === undefined ? null : { id: outside, external: true };
  },
};

/** Its ES modules load gRPC by a `require` that they make themselves, which a bundler does not see. */
const AS_COMMON_JS = {
  '@opentelemetry/otlp-grpc-exporter-base': `${root}node_modules/@opentelemetry/otlp-grpc-exporter-base/dist/index.cjs`,
};

/** Of `pg`, which tries it only where a program asks for it. */
const NOT_INSTALLED = ['pg-native'];

if (process.argv.includes('--prepare') && !existsSync(`${root}node_modules/rolldown`)) {
  const left = existsSync(main) ? 'an earlier `dist/` is left as it is' : 'there is no `dist/`';
  console.error(
    `remit: the bundler is not installed, so nothing is built and ${left}: run \`npm ci && npm run build\``,
  );
  process.exit(0);
}
rmSync(`${root}dist`, { recursive: true, force: true });
await bundle();
chmodSync(main, 0o755);
writeFileSync(`${root}dist/version.txt`, `${version()}\n`);
linkCommand();

/**
 * Each thread is one file, since it loads all of it: a third less time than from the files that commands share. So is what `remit serve` always
 * loads, beside what its roles share. All other commands share files.
 */
async function bundle() {
  const threads = STARTED_BY_PATH.map((input) => bundled({ input, output: { codeSplitting: false } }));
  const server = bundled({ input: Object.values(SERVER) });
  const commands = bundled({ input: 'src/main.ts', plugins: [serverOutside] });
  const output = (await Promise.all([...threads, server, commands])).flat();
  const found = output.find(({ fileName }) => fileName === 'main.js')?.code ?? '';
  if (/new URL\(/.test(found)) throw new Error('`dist/main.js` finds threads by its own path, which lie in `program/`');
  for (const name of Object.keys(SERVER))
    if (!found.includes(`import("${name}")`)) throw new Error(`\`dist/main.js\` does not load \`${name}\``);
  const unseen = output
    .flatMap(({ code = '' }) => [...code.matchAll(/\b__require\("([^"]+)"\)/g)].map(([, name]) => name))
    .filter((name) => !isBuiltin(name) && !NOT_INSTALLED.includes(name));
  if (unseen.length > 0) throw new Error(`packages that are not bundled: ${unseen.join(', ')}`);
}

async function bundled({ input, plugins = [], output = {} }) {
  const { build } = await import('rolldown');
  const { output: files } = await build({
    cwd: root,
    platform: 'node',
    input,
    external: NOT_INSTALLED,
    plugins,
    resolve: { alias: AS_COMMON_JS },
    onLog: (level, { code, message }) => {
      // That plugins took long says how loaded the machine is, nothing about the build.
      if (level === 'warn' && code !== 'PLUGIN_TIMINGS') throw new Error(message);
    },
    output: {
      dir: 'dist',
      sourcemap: true,
      sourcemapExcludeSources: true,
      // V8 keeps the text of each file that it has loaded, with two bytes a character if one of them is not of Latin-1.
      charset: 'ascii',
      comments: { legal: true, annotation: false, jsdoc: false },
      entryFileNames: ({ name }) => (name === 'main' ? 'main.js' : 'program/[name].js'),
      chunkFileNames: 'program/[name]-[hash].js',
      ...output,
    },
  });
  return files;
}

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
