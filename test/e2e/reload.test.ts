import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { es256Key, jwksOf } from '../builders/tokens.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { soundSettings, soundSvid } from './sound-settings.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

const IAM = 'https://iam.acme.test';

// Issue 15, point 3: what SIGHUP reloads, in a process whose log is JSON from the first reload on.
describe('remit serve on SIGHUP', () => {
  const scratch = testFolder(async () => {
    started?.child.kill('SIGKILL');
    await started?.exit;
  });
  let started: Running;
  let config: Readonly<Record<string, unknown>>;

  beforeAll(async () => {
    const { folder } = scratch;
    await writeFile(join(folder, 'iam.json'), JSON.stringify(jwksOf(es256Key('one'))));
    config = {
      ...(await soundSettings(folder)),
      svid: await soundSvid(folder, 'remit.acme.test'),
      acceptedIssuers: [{ issuer: IAM, jwks: 'iam.json', kind: 'external' }],
      log: { format: 'json' },
    };
    await write({});
    started = remit(['serve', '--config', join(folder, 'remit.yaml')]);
    await started.said('checks on');
  });

  const write = (change: Readonly<Record<string, unknown>>): Promise<void> =>
    writeFile(join(scratch.folder, 'remit.yaml'), stringify({ ...config, ...change }));

  /** The log after a SIGHUP, once a line matches `last`. */
  async function reloaded(last: RegExp): Promise<readonly (readonly [string, string])[]> {
    const before = started.err().length;
    started.child.kill('SIGHUP');
    return until(() => {
      const lines = started.err().slice(before).split('\n').slice(0, -1);
      const events = lines.map((line): readonly [string, string] => {
        const { event, message } = JSON.parse(line);
        return [event, message];
      });
      return events.some(([event, message]) => last.test(`${event} ${message}`)) && events;
    });
  }

  it('applies the keys that can change at once, and names each that needs a restart', async () => {
    await write({
      decisionLog: 'none',
      admin: { listen: '127.0.0.1:1' },
      extAuthz: { listen: 'unix:/elsewhere.sock' },
    });
    const events = of(await reloaded(/config-waiting .*admin/), /^config-/);
    expect(events).toEqual([
      ['config-applied', '`decisionLog` has changed and is now in effect'],
      ['config-waiting', '`extAuthz.listen` has changed: restart to apply it'],
      ['config-waiting', '`admin.listen` has changed: restart to apply it'],
    ]);
  });

  it('changes nothing by an invalid file, and logs why', async () => {
    await write({ drainSecond: 1, decisionLog: 'loud' });
    const events = of(await reloaded(/config-refused .*decisionLog/), /^config-/);
    expect(events.map(([event]) => event)).toEqual(['config-refused', 'config-refused']);
    expect(events.map(([, message]) => message).join('\n')).toMatch(
      /remit\.yaml:\d+:\d+: .*decisionLog.*the previous configuration stays/,
    );
    await write({});
    // A refused configuration was never in force, so this key counts as changed back.
    expect(of(await reloaded(/config-applied/), /^config-/)).toEqual([
      ['config-applied', '`decisionLog` has changed and is now in effect'],
    ]);
  });

  it('reloads key sets: an invalid set is a fault, and the old set stays in use', async () => {
    const file = join(scratch.folder, 'iam.json');
    await writeFile(file, JSON.stringify(jwksOf(es256Key('two'))));
    const read = await reloaded(/keys-read/);
    expect(of(read, /^keys-read$/)).toEqual([['keys-read', `keys of \`${IAM}\`: read again from \`${file}\``]]);
    await writeFile(file, '{"keys":[');
    const stays = 'the former content stays in use';
    const fault = `keys of \`${IAM}\`: the key set \`${file}\` is not JSON; ${stays}`;
    expect(of(await reloaded(/^fault/), /^fault$/)).toEqual([['fault', fault]]);
    await writeFile(file, JSON.stringify(jwksOf(es256Key('three'))));
    const healed = await reloaded(/keys-read/);
    expect(of(healed, /^recovered$/)).toEqual([['recovered', expect.stringContaining(`keys of \`${IAM}\`: over`)]]);
  });

  it('logs that a changed key of its own needs a restart', async () => {
    await writeFile(join(scratch.folder, 'ledger-key.pem'), 'another');
    const [event] = of(await reloaded(/config-waiting/), /^config-/);
    expect(event).toEqual([
      'config-waiting',
      expect.stringMatching(/^`ledger\.key`: `.*` has changed: restart to apply it$/),
    ]);
  });

  it('applies another level and format of the log at once', async () => {
    await write({ log: { format: 'text', level: 'warn' } });
    const before = started.err().length;
    started.child.kill('SIGHUP');
    // Events below the new level are no longer logged; waiting keys are.
    await until(() => / warn {2}config-waiting `ledger\.key`/.test(started.err().slice(before)));
    expect(started.err().slice(before)).not.toContain('config-applied');
  });
});

/** The events of a kind. */
const of = (events: readonly (readonly [string, string])[], kind: RegExp): readonly (readonly [string, string])[] =>
  events.filter(([event]) => kind.test(event));
