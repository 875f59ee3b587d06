import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { scratchFolder } from './domain.ts';
import { ran, remit } from './process.ts';
import { soundSettings, soundSvid } from './sound-settings.ts';

// Processes start here, which is slow on a loaded machine.

// Issue 15, point 3: mistakes showed only at a restart.
describe('remit serve --check', () => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let sound: Readonly<Record<string, unknown>>;

  beforeEach(async () => {
    scratch = await scratchFolder('remit-serve-check-');
    const { folder } = scratch;
    sound = {
      ...(await soundSettings(folder)),
      svid: await soundSvid(folder, 'remit.acme.test'),
      issuer: { url: 'https://remit.acme.test', listen: '127.0.0.1:0' },
      state: 'sqlite:state/state.db',
    };
  });
  afterEach(() => scratch.remove());

  const check = async (config: Readonly<Record<string, unknown>> = {}, environment: Record<string, string> = {}) => {
    const file = join(scratch.folder, 'remit.yaml');
    await writeFile(file, stringify({ ...sound, ...config }));
    const before = await readdir(scratch.folder);
    const result = await ran(['serve', '--config', file, '--check'], { TMPDIR: scratch.folder, ...environment });
    // Nothing is created, and temporary files are deleted.
    expect(await readdir(scratch.folder)).toEqual(before);
    return { ...result, file };
  };

  it('reports that it would start, and changes nothing', async () => {
    const { code, out, err, file } = await check();
    expect([code, out]).toEqual([0, `${file}: it would start\n`]);
    expect(err).not.toContain('not become ready');
    expect(err).not.toContain('generated schema');
  });

  it('warns of a generated schema that is stale', async () => {
    await writeFile(join(scratch.folder, 'policies/remit.cedarschema'), 'namespace Remit {}\n');
    const { code, err } = await check();
    expect(code).toBe(0);
    expect(err).toMatch(/warning: .*policies\/remit\.cedarschema:1:1: the generated schema does not match the catalog/);
  });

  it.each<[string, Record<string, unknown>, Record<string, string>, string]>([
    ['an unknown key', { extAuth: {} }, {}, '`extAuth` is not a known key; did you mean `extAuthz`?'],
    ['an unknown variable', {}, { REMIT_ADMIN_LISTN: 'x' }, 'did you mean `REMIT_ADMIN_LISTEN`?'],
    ['another trust domain', { trustDomains: ['other.test'] }, {}, 'add `acme.test`'],
    ['missing policies', { policies: 'nowhere' }, {}, 'the policy folder could not be read: ENOENT'],
    ['a state file below a file', { state: 'sqlite:remit.yaml/state.db' }, {}, '`state`: `'],
  ])('reports that it would not start with %s', async (_name, config, environment, message) => {
    const { code, out, err } = await check(config, environment);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
  });

  it('names what would prevent readiness after a start', async () => {
    const keys = { issuer: 'https://iam.acme.test', jwks: 'https://127.0.0.1:1/jwks', kind: 'external' };
    const { code, err } = await check({ acceptedIssuers: [keys] });
    expect(code).toBe(0);
    expect(err).toContain('warning: it would start, but not become ready: keys: no keys of https://iam.acme.test');
  });

  // Issue 39: each install by the chart waited 20 s for an SVID that nothing in that pod can have.
  it('does not wait for a Workload API that is not there', async () => {
    const { code, err } = await check({ svid: { workloadApi: `unix://${scratch.folder}/agent.sock` } });
    expect(code).toBe(0);
    const missing = `there is no Workload API at \`${scratch.folder}/agent.sock\``;
    expect(err).toContain(`warning: it would start, but wait: the issuer has no SVID: ${missing}`);
  });

  it('works beside a serving process', async () => {
    const file = join(scratch.folder, 'serving.yaml');
    await writeFile(file, stringify({ ...sound, state: 'sqlite:state.db' }));
    const serving = remit(['serve', '--config', file]);
    try {
      await serving.said('checks on');
      expect((await ran(['serve', '--config', file, '--check'])).code).toBe(0);
      expect(serving.child.exitCode).toBeNull();
    } finally {
      serving.child.kill('SIGKILL');
      await serving.exit;
    }
  });
});
