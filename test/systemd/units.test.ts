import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { testFolders } from '../builders/test-folders.ts';
import { remit } from '../e2e/process.ts';
import { both, describeWith, stracePart, systemdAnalyzePart } from '../parts.ts';
import { root } from '../release/sources.ts';

const units = join(root, 'deploy/systemd/system');
const names = readdirSync(units).filter((name) => name.endsWith('.service'));
const folder = testFolders();

const textOf = (name: string): string => readFileSync(join(units, name), 'utf8');

/** The settings below the comment on hardening. */
const hardeningOf = (name: string): string =>
  /^# Only its own places[^]*?(?=\n\[Install\])/m.exec(textOf(name))?.[0] ?? '';

describe('the units of systemd', () => {
  it('are four, equally hardened', () => {
    expect(names.toSorted()).toEqual([
      'remit-agent@.service',
      'remit-authority.service',
      'remit.service',
      'remit@.service',
    ]);
    expect(hardeningOf('remit.service')).toContain('NoNewPrivileges=true');
    for (const name of names) expect(hardeningOf(name)).toBe(hardeningOf('remit.service'));
  });
});

describeWith(systemdAnalyzePart(), 'systemd-analyze', (analyze) => {
  /** What it says of a file, but for commands that are not installed here. */
  const verified = (file: string): readonly string[] =>
    spawnSync(analyze, ['verify', '--man=false', file], { encoding: 'utf8' })
      .stderr.split('\n')
      .filter(
        (line) => line !== '' && !/is not executable: No such file or directory$|sysinit\.target not found/.test(line),
      );

  it.each(names)('knows every setting of %s', (name) => {
    expect(verified(join(units, name))).toEqual([]);
  });

  it('would name a setting that it does not know', () => {
    const file = join(folder(), 'bad.service');
    writeFileSync(file, textOf('remit.service').replace('NoNewPrivileges', 'NoNewPrivilege'));
    expect(verified(file).join('\n')).toMatch(/Unknown key (?:name )?'NoNewPrivilege'/);
  });

  it.each(names)('rates the exposure of %s 1.5 or less', (name) => {
    const { stdout } = spawnSync(analyze, ['security', '--offline=true', join(units, name)], { encoding: 'utf8' });
    const exposure = Number(/Overall exposure level for \S+: (\d+\.\d+)/.exec(stdout)?.[1]);
    expect(exposure).toBeLessThanOrEqual(1.5);
    expect(readFileSync(join(root, 'deploy/guide/install/systemd.md'), 'utf8')).toContain('rates each 1.5,');
  });
});

/**
 * What the unit refuses and `remit serve` does without: a lower priority of some of its threads. The unit's exposure would be 1.7 with it, since a
 * process could then also change others of its user.
 */
const DISPENSABLE: ReadonlySet<string> = new Set(['setpriority']);

describeWith(both(systemdAnalyzePart(), stracePart()), 'the system calls of `remit serve`', ([analyze, strace]) => {
  /** The calls of a set, with those of the sets in it. */
  const callsOf = (set: string): readonly string[] =>
    execFileSync(analyze, ['syscall-filter', set], { encoding: 'utf8' })
      .split('\n')
      .slice(1)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
      .flatMap((one) => (one.startsWith('@') ? callsOf(one) : [one]));

  /** The calls that the unit allows: its lines in their order. */
  const allowed = (): ReadonlySet<string> => {
    const calls = new Set<string>();
    for (const [, not, sets = ''] of textOf('remit.service').matchAll(/^SystemCallFilter=(~?)(.*)$/gm))
      for (const call of sets.split(' ').flatMap(callsOf)) {
        if (not === '~') calls.delete(call);
        else calls.add(call);
      }
    return calls;
  };

  it('are all allowed by the unit, but for what it does without', async () => {
    const at = folder();
    const trace = join(at, 'trace');
    writeFileSync(
      join(at, 'remit.yaml'),
      `trustDomains: [acme.test]\nextAuthz: { listen: 'unix:${at}/check.sock', socketMode: '0660', socketGroup: ${process.getgid?.()} }\nadmin: { listen: '127.0.0.1:0' }\npolicies: ${resolve(root, 'cedar-policies')}\nstate: sqlite:state.db\n`,
      { mode: 0o600 },
    );
    const serving = remit(['serve', '--config', join(at, 'remit.yaml')], {}, [strace, '-f', '-qq', '-o', trace]);
    await serving.said('checks on');
    // Its first process, not strace.
    process.kill(Number(/^\d+/.exec(readFileSync(trace, 'utf8'))?.[0]), 'SIGTERM');
    await serving.exit;
    const called = new Set(
      readFileSync(trace, 'utf8')
        .split('\n')
        .flatMap((line) => /^\d+ +([a-z_0-9]+)\(/.exec(line)?.[1] ?? []),
    );
    expect(called.size).toBeGreaterThan(40);
    const permitted = allowed();
    expect([...called].filter((call) => !permitted.has(call) && !DISPENSABLE.has(call))).toEqual([]);
  });
});
