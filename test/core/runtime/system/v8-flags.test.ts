import { readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { SERVING_ALLOCATOR, SERVING_FLAGS, settingsMissing } from '../../../../src/core/runtime/system/v8-flags.ts';
import { entryPointOf } from '../../../entry-point.ts';

const allocator = Object.entries(SERVING_ALLOCATOR).map(([name, value]) => `${name}=${value}`);

describe(settingsMissing, () => {
  const all = [...allocator, ...SERVING_FLAGS];
  const without = (name: string): readonly string[] => all.filter((one) => !one.startsWith(name));
  it.each<[string, readonly string[], Readonly<Record<string, string>>, readonly string[]]>([
    ['nothing is set', [], {}, all],
    ['other things are set', ['--no-warnings'], { NODE_OPTIONS: '--enable-source-maps', PATH: '/bin' }, all],
    ['it was started as by the image', SERVING_FLAGS, SERVING_ALLOCATOR, []],
    ['a flag has another value', ['--max-semi-space-size=16'], {}, without('--max-semi')],
    ['a flag is set with underscores', ['--max_semi_space_size=16'], {}, without('--max-semi')],
    ['a flag is set in NODE_OPTIONS', [], { NODE_OPTIONS: '--a  --max-semi-space-size=2' }, without('--max-semi')],
    ['a setting of the allocator is set', [], { MALLOC_TRIM_THRESHOLD_: '0' }, SERVING_FLAGS],
    ['GLIBC_TUNABLES is set', [], { GLIBC_TUNABLES: 'glibc.malloc.arena_max=1' }, SERVING_FLAGS],
  ])('names the settings that are not there, if %s', (_name, execArgv, environment, missing) => {
    expect(settingsMissing({ execArgv, environment })).toEqual(missing);
  });
});

describe('a server has all settings', () => {
  it('if the image starts it', async () => {
    const { command, environment } = await entryPointOf(process.cwd());
    expect(command).toEqual(['/usr/bin/node', ...SERVING_FLAGS, '/usr/lib/remit/dist/main.js']);
    expect(environment).toEqual(SERVING_ALLOCATOR);
  });

  it.each([
    ['remit', 'serve', SERVING_FLAGS],
    ['remit@', 'serve', SERVING_FLAGS],
    ['remit-authority', 'serve', SERVING_FLAGS],
    // It answers no checks, and keeps the memory for tasks.
    ['remit-agent@', 'agent', SERVING_FLAGS.filter((flag) => flag !== '--always-sparkplug')],
  ])('if %s.service starts it', async (name, role, flags) => {
    const text = await readFile(`deploy/systemd/system/${name}.service`, 'utf8');
    const [command = ''] = /(?<=^ExecStart=).*/m.exec(text.replaceAll(/\\\n +/g, '')) ?? [];
    const started = ['/usr/bin/env', 'node', ...flags, '/usr/bin/remit', role];
    expect(command.split(' ').slice(0, started.length)).toEqual(started);
    expect(text).toContain(`\nEnvironment=${allocator.join(' ')}\n`);
  });
});
