import { describe, expect, it } from '@jest/globals';
import { configFrom } from '../../../src/core/config/config.ts';

const read = (yaml: string) =>
  configFrom(`trustDomains: acme.test\n${yaml}`, { file: 'remit.yaml', folder: '/etc/remit', environment: {} });
const svid = 'svid: { certificate: c, key: k, bundle: b }\n';
const issuer = 'issuer: { url: https://i.acme.test }\n';
const rule = 'sidecars: { id: spiffe://acme.test/tools, audiences: https://p.acme.test }';
const id = 'authority: { id: spiffe://acme.test/authority }\n';

describe('the state of a configuration', () => {
  it.each([
    ['sqlite:s.db', { kind: 'sqlite', path: '/etc/remit/s.db' }],
    ['authority:unix:/run/remit.sock', { kind: 'authority', addresses: [{ kind: 'unix', path: '/run/remit.sock' }] }],
  ])('is read from `%s`', (text, state) => {
    expect(read(`state: '${text}'\n`)).toMatchObject({ value: { state } });
  });

  it('names several authorities over TLS, and their SPIFFE ID', () => {
    const config = read(`state: 'authority://one.acme.test:9474,[::1]:9475'\n${svid}${id}`);
    const addresses = [
      { kind: 'tcp', host: 'one.acme.test', port: 9474 },
      { kind: 'tcp', host: '::1', port: 9475 },
    ];
    expect(config).toMatchObject({
      value: { state: { kind: 'authority', addresses }, authority: { id: 'spiffe://acme.test/authority' } },
    });
  });

  it.each([
    ['mysql://db', 'state', 'must be `sqlite:/path`, `postgres://user@host/database`, `authority://host:port`'],
    ['postgres://db', 'state', 'is not the URL of a PostgreSQL'],
    ['postgres://u:secret@db/remit', 'state', 'has a password'],
    ['authority://one:9474,', 'state', '``: '],
    [
      'authority:unix:run.sock',
      'state',
      '`unix:run.sock`: must be `unix:/path` or `host:port`: the path of the socket must be absolute',
    ],
    [`authority://${'a:1,'.repeat(8)}a:1`, 'state', 'at most 8 authorities'],
  ])('refuses `%s`', (text, field, message) => {
    expect(read(`state: '${text}'\n${svid}${id}`)).toMatchObject({
      problems: [{ field, message: expect.stringContaining(message) }],
    });
  });

  it('is a PostgreSQL of an authority, which serves sidecars and no checks', () => {
    const state = "state: 'postgres://remit@db/remit'\n";
    expect(read(`${svid}${issuer}${state}authority: { listen: unix:/a, ${rule} }\n`)).toMatchObject({
      value: { state: { kind: 'postgres', target: { user: 'remit', database: 'remit' } }, durability: 'quorum' },
    });
    expect(read(`${svid}${issuer}${state}`)).toMatchObject({ problems: [{ field: 'authority.listen' }] });
  });

  it('has the addresses and the rules of an authority', () => {
    const config = read(
      `${svid}${issuer}authority: { listen: [unix:/run/a.sock, 0.0.0.0:9474], sidecars: { id: spiffe://acme.test/ns/*/sa/tools-*, audiences: https://p.acme.test } }\n`,
    );
    expect(config).toMatchObject({
      value: {
        authority: {
          listen: [{ path: '/run/a.sock' }, { port: 9474 }],
          sidecars: [{ id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: ['https://p.acme.test'] }],
        },
      },
    });
  });

  // Issue 37, point 5: a restart of the one authority of a state file took longer than the lease.
  it.each([
    ['15 s with a state file', '', '', 15],
    ['5 s with a PostgreSQL', 'state: postgres://remit@db/remit\n', '', 5],
    ['as long as it says', '', ', leaseSeconds: 9', 9],
  ])('gives leases of %s', (_what, state, written, leaseSeconds) => {
    const yaml = `${svid}${issuer}${state}authority: { listen: 0.0.0.0:9474, ${rule}${written} }\n`;
    expect(read(yaml)).toMatchObject({ value: { authority: { leaseSeconds } } });
  });

  it.each([
    ['file:r', { kind: 'file', folder: '/etc/remit/r' }],
    ['{ place: file:r }', { kind: 'file', folder: '/etc/remit/r' }],
    [
      's3://acme-records/remit',
      { kind: 's3', place: { bucket: 'acme-records', prefix: 'remit/', endpoint: null, region: null } },
    ],
  ])('keeps the records of sidecars in `%s`', (place, records) => {
    const yaml = `${svid}${issuer}authority: { listen: unix:/a, ${rule} }\nrecords: ${place}\n`;
    expect(read(yaml)).toMatchObject({ value: { records: { place: records } } });
  });

  it('keeps the records of sidecars for 400 days, or as long and as many as are configured', () => {
    const authority = `${svid}${issuer}authority: { listen: unix:/a, ${rule} }\n`;
    const place = { kind: 'file', folder: '/etc/remit/r' };
    expect(read(`${authority}records: file:r\n`)).toMatchObject({
      value: { records: { place, retainDays: 400, retainGiB: null } },
    });
    expect(read(`${authority}records: { retainDays: 30, retainGiB: 8 }\n`)).toMatchObject({
      value: { records: { place: null, retainDays: 30, retainGiB: 8 } },
    });
  });

  it.each([
    ['sqlite:s.db', 'file:r', 'is for the records of sidecars'],
    ['authority:unix:/a', 'file:r', 'is for the records of sidecars'],
    ['sqlite:s.db', 'ftp://x', 'must be `file:/path`, `s3://bucket/prefix` or `postgres`'],
    ['authority:unix:/a', 'postgres', 'is for the records of sidecars'],
  ])('refuses with the state `%s` the records `%s`', (state, place, message) => {
    expect(read(`state: '${state}'\nrecords: ${place}\n`)).toMatchObject({
      problems: [{ field: 'records', message: expect.stringContaining(message) }],
    });
  });

  it.each([
    ['issuer', `${svid}authority: { listen: unix:/a, ${rule} }\n`],
    ['authority.sidecars', `${svid}${issuer}authority: { listen: unix:/a }\n`],
  ])('requires of an authority what `%s` says', (field, yaml) => {
    expect(read(yaml)).toMatchObject({ problems: [{ field }] });
  });

  it.each(['spiffe://acme.test', 'spiffe://*/ns', 'spiffe://acme.test/ns/**x y', 'acme.test/ns'])(
    'refuses the pattern `%s`',
    (pattern) => {
      const yaml = `${svid}${issuer}authority: { listen: unix:/a, sidecars: { id: '${pattern}', audiences: a } }\n`;
      expect(read(yaml)).toMatchObject({ problems: [{ field: 'authority.sidecars.id' }] });
    },
  );

  it.each([
    ['issuer', `${svid}issuer: { url: https://i.acme.test }\n`, 'tasks are declared at the authority'],
    ['authority.listen', 'authority: { listen: unix:/a }\n', 'a sidecar has no sidecars'],
  ])('refuses `%s` at a sidecar, and says why', (field, yaml, message) => {
    expect(read(`state: authority:unix:/run/remit.sock\n${yaml}`)).toMatchObject({
      problems: [{ field, message: expect.stringContaining(message) }],
    });
  });

  it.each([
    ['svid', id, 'is required with `state: authority://…`'],
    ['authority.id', svid, 'the SPIFFE ID of the authorities, which others may not pose as'],
  ])('requires `%s` for an authority over TLS', (field, yaml, message) => {
    expect(read(`state: authority://one:9474\n${yaml}`)).toMatchObject({
      problems: [{ field, message: expect.stringContaining(message) }],
    });
  });

  it('has the proofs of sidecars remembered at their authority, and nowhere else', () => {
    const yaml = 'extAuthz: { proofMemory: authority }\n';
    expect(read(`state: authority:unix:/run/remit.sock\n${yaml}`)).toMatchObject({
      value: { extAuthz: { proofMemory: 'authority' } },
    });
    expect(read(yaml)).toMatchObject({ problems: [{ field: 'extAuthz.proofMemory' }] });
  });

  it('refuses the SPIFFE ID of an authority if there is none', () => {
    expect(read(id)).toMatchObject({ problems: [{ field: 'authority.id' }] });
  });

  it('takes the policies of the authority at a sidecar alone', () => {
    const policies = 'policies: { bundle: { from: authority, name: prod, keys: k.json } }\n';
    expect(read(`state: authority:unix:/a\n${policies}`)).toMatchObject({
      value: { policies: { bundle: { from: 'authority' } } },
    });
    expect(read(policies)).toMatchObject({
      problems: [{ field: 'policies.bundle.from', message: expect.stringContaining('which is for sidecars') }],
    });
  });
});
