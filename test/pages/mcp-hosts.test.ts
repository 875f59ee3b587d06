import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { forwardVariables } from '../../src/agent/forward/forward-option.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/start/mcp-hosts.md'), 'utf8');
const blocks = (language: string): readonly string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text);
const [variable] = forwardVariables('tools');
const folder = mkdtempSync(join(tmpdir(), 'remit-hosts-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface McpFile {
  readonly mcpServers?: Readonly<Record<string, unknown>>;
  readonly servers?: Readonly<Record<string, unknown>>;
}

it('has files that hosts can parse, each with one server', () => {
  const files = blocks('json').map((text): McpFile => JSON.parse(text));
  expect(files.map((file) => Object.entries(file.mcpServers ?? file.servers ?? {}))).toEqual([
    [['tools', { type: 'http', url: `\${${variable}}` }]],
    [['tools', { type: 'http', url: `\${env:${variable}}` }]],
    [['tools', { url: `\${env:${variable}}` }]],
    [['tools', { command: 'sh', args: ['-c', expect.stringContaining(`"$${variable}"`)] }]],
    [['tools', expect.objectContaining({ headersHelper: 'remit token --format headers' })]],
  ]);
});

it('names in each command the upstream whose variable the files have', () => {
  const runs = [...page.matchAll(/^remit run .*$/gm)].map(([line]) => line);
  expect(runs).toHaveLength(4);
  for (const run of runs) expect(run).toContain(' --forward tools=https://tools.acme.test/mcp -- ');
});

it('writes a profile of Codex that nobody else can read', () => {
  const [script = ''] = blocks('sh');
  writeFileSync(join(folder, 'codex'), '#!/bin/sh\necho "$@"\n', { mode: 0o700 });
  const url = 'http://127.0.0.1:4000/secret';
  const environment = { PATH: `${folder}:${process.env['PATH']}`, CODEX_HOME: folder, [variable]: url };
  const shown = execFileSync('sh', ['-c', script, 'codex-tools', 'a b'], { env: environment, encoding: 'utf8' });
  expect(shown).toBe('--profile tools a b\n');
  const profile = join(folder, 'tools.config.toml');
  expect(readFileSync(profile, 'utf8')).toBe(`[mcp_servers.tools]\nurl = "${url}"\ntool_timeout_sec = 900\n`);
  expect(statSync(profile).mode & 0o777).toBe(0o600);
});
