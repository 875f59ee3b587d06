import { describe, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../src/core/config/postgres-url.ts';

const none = { rootCertFile: null, certFile: null, keyFile: null, passwordFile: null, connectMs: 5_000 };

describe('postgresTargetFrom', () => {
  it('reads hosts with ports, TLS by default, and files by absolute path', () => {
    const url =
      'postgres://remit%40a@db-1,db-2:5433,[::1]:5434/re%2Fmit?passwordfile=/run/p&sslrootcert=/ca&sslcert=/c&sslkey=/k&connect_timeout=20';
    expect(postgresTargetFrom(url)).toEqual({
      hosts: [
        { host: 'db-1', port: 5432 },
        { host: 'db-2', port: 5433 },
        { host: '::1', port: 5434 },
      ],
      database: 're/mit',
      user: 'remit@a',
      tls: 'verify-full',
      rootCertFile: '/ca',
      certFile: '/c',
      keyFile: '/k',
      passwordFile: '/run/p',
      connectMs: 20_000,
    });
  });

  it('reads the folder of a socket, which needs no TLS', () => {
    const hosts = [{ host: '/run/postgresql', port: 5433 }];
    const expected = { hosts, database: 'remit', user: 'a', tls: 'disable', ...none };
    expect(postgresTargetFrom('postgres://a@/remit?host=/run/postgresql:5433')).toEqual(expected);
  });

  it.each([
    ['another scheme', 'mysql://a@db/remit', 'is not the URL of a PostgreSQL'],
    ['no database', 'postgres://a@db/', 'names no user or no database'],
    ['no user', 'postgres://db/remit', 'names no user or no database'],
    ['a bad escape', 'postgres://%zz@db/remit', 'names no user or no database'],
    ['no host', 'postgres://a@/remit', 'names its hosts twice, or not at all'],
    ['two kinds of hosts', 'postgres://a@db/remit?host=/run', 'names its hosts twice, or not at all'],
    ['a relative socket', 'postgres://a@/remit?host=run', 'has `host=run`: expected the absolute path'],
    ['no time to connect', 'postgres://a@db/remit?connect_timeout=0', 'expected whole seconds, 1 to 60'],
    ['a bad port', 'postgres://a@db:0/remit', 'has the host `db:0`'],
    ['an empty host', 'postgres://a@db,,c/remit', 'has the host ``'],
    ['an unknown option', 'postgres://a@db/remit?options=-c', 'has the option `options`: expected one of `host`'],
    [
      'TLS without verification',
      'postgres://a@db/remit?sslmode=require',
      'has `sslmode=require`: expected `verify-full`',
    ],
    ['a relative file', 'postgres://a@db/remit?passwordfile=p', 'has `passwordfile=p`: expected an absolute path'],
    ['half a client certificate', 'postgres://a@db/remit?sslcert=/c', 'needs both `sslcert` and `sslkey`'],
  ])('refuses %s', (_what, url, problem) => {
    expect(postgresTargetFrom(url)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it('refuses a password, and does not repeat it', () => {
    const refused = postgresTargetFrom('postgres://a:hunter2@db/remit');
    expect(refused).toEqual({
      problem: 'has a password: write it to a file with mode 0600 and name that as `passwordfile=/path`',
    });
  });
});
