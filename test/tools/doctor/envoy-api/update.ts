import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { knownMessages } from './known-messages.ts';

/**
 * Writes `fields.txt`: the fields that each message of the doctor's tables has in a version of Envoy's API, by its descriptors in the Go module
 * of that version. Takes Go. Usage: `node test/tools/doctor/envoy-api/update.ts 1.40.0`.
 */
const [version = ''] = process.argv.slice(2);
if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error('usage: node test/tools/doctor/envoy-api/update.ts VERSION');

const MODULE = 'github.com/envoyproxy/go-control-plane/envoy';
const scratch = mkdtempSync(join(tmpdir(), 'remit-envoy-api-'));
try {
  const go = (args: readonly string[], input = ''): string =>
    execFileSync('go', args, { cwd: scratch, encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'inherit'] });
  copyFileSync(join(import.meta.dirname, 'fields.go'), join(scratch, 'main.go'));
  go(['mod', 'init', 'scratch']);
  go(['get', `${MODULE}@v${version}`]);
  go(['mod', 'tidy']);
  const names = [...new Set(knownMessages().map(({ proto }) => proto))].toSorted();
  const fields = go(['run', '.'], `${names.join('\n')}\n`);
  writeFileSync(join(import.meta.dirname, 'fields.txt'), `# ${MODULE} v${version}\n${fields}`);
} finally {
  rmSync(scratch, { recursive: true });
}
