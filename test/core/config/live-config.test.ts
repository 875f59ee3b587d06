import { describe, expect, it } from '@jest/globals';
import { configFrom } from '../../../src/core/config/config.ts';
import type { ReadConfig } from '../../../src/core/config/config.ts';
import { LiveConfig } from '../../../src/core/config/live-config.ts';
import { must } from '../../builders/must.ts';

const BASE = `
trustDomains: [acme.test]
svid: { workloadApi: 'unix:///run/spire/agent.sock' }
`;
const ISSUER = `${BASE}issuer: { url: 'https://issuer.acme.test' }\n`;

function read(yaml: string, environment: Readonly<Record<string, string>> = {}): ReadConfig {
  return must(configFrom(yaml, { file: 'remit.yaml', folder: '/etc/remit', environment }));
}

const networkWith = (callers: string): string => `${BASE}extAuthz: { listen: '0.0.0.0:9470', callers: [${callers}] }`;
const issuerWith = (fields: string): string => `${BASE}issuer: { url: 'https://issuer.acme.test', ${fields} }\n`;

/** The result of reading `after` in a process that started with `before`. */
function taken(before: string, after: string) {
  const live = new LiveConfig(read(before));
  return { ...live.take(read(after)), live };
}

describe('LiveConfig.take', () => {
  it.each([
    ['log.format', `${BASE}log: { format: json }`],
    ['log.level', `${BASE}log: { level: debug }`],
    ['decisionLog', `${BASE}decisionLog: stdout`],
    ['telemetry.spanArguments', `${BASE}telemetry: { spanArguments: true }`],
    ['drainSeconds', `${BASE}drainSeconds: 7`],
    ['endedTasks.keepSeconds', `${BASE}endedTasks: { keepSeconds: 60 }`],
    ['enforcement.emergency.operators', `${BASE}enforcement: { emergency: { operators: spiffe://acme.test/ops } }`],
  ])('applies `%s` at once', (key, yaml) => {
    const { applied, waiting, live } = taken(BASE, yaml);
    expect([applied, waiting]).toEqual([[key], []]);
    const [section = '', name = ''] = key.split('.');
    const of = (config: object): unknown => {
      const value: unknown = Object.entries(config).find(([one]) => one === section)?.[1];
      return name === '' ? value : Object.entries(value as object).find(([one]) => one === name)?.[1];
    };
    expect(of(live.now)).toEqual(of(read(yaml).value));
    expect(of(live.now)).not.toEqual(of(read(BASE).value));
  });

  it.each([
    ['tokenSeconds', 'tokenSeconds: 60'],
    ['taskSeconds', 'taskSeconds: 60'],
    ['idleSeconds', 'idleSeconds: 60'],
    ['stoppedTaskWaitSeconds', 'stoppedTaskWaitSeconds: off'],
    ['context', 'context: { node: ask }'],
    ['contextWriters', "contextWriters: ['spiffe://acme.test/writer']"],
    ['introspectors', "introspectors: ['spiffe://acme.test/reader']"],
    ['operators', "operators: ['spiffe://acme.test/operator']"],
  ] as const)('applies `issuer.%s` at once', (key, fields) => {
    const { applied, waiting, live } = taken(ISSUER, issuerWith(fields));
    expect([applied, waiting]).toEqual([[`issuer.${key}`], []]);
    expect(live.now.issuer?.[key]).toEqual(read(issuerWith(fields)).value.issuer?.[key]);
  });

  it('applies `extAuthz.callers` at once', () => {
    const { applied, waiting, live } = taken(
      networkWith('spiffe://acme.test/one, spiffe://acme.test/two'),
      networkWith('spiffe://acme.test/two'),
    );
    expect([applied, waiting]).toEqual([['extAuthz.callers'], []]);
    expect(live.now.extAuthz.callers).toEqual(['spiffe://acme.test/two']);
  });

  it.each([
    [
      'trustDomains',
      `trustDomains: [acme.test, other.test]\nsvid: { workloadApi: 'unix:///run/spire/agent.sock' }\n`,
      BASE,
    ],
    ['extAuthz.listen', `${BASE}extAuthz: { listen: '127.0.0.1:9470' }`, BASE],
    ['extAuthz.checksInFlight', `${BASE}extAuthz: { checksInFlight: 8 }`, BASE],
    ['svid', `trustDomains: [acme.test]\nsvid: { workloadApi: 'unix:///elsewhere.sock' }\n`, BASE],
    ['issuer', ISSUER, BASE],
    ['issuer', BASE, ISSUER],
    ['issuer.listen', issuerWith("listen: '127.0.0.1:9999'"), ISSUER],
    ['issuer.limits.connections', issuerWith('limits: { connections: 16 }'), ISSUER],
    ['acceptedIssuers', `${BASE}acceptedIssuers: [{ issuer: 'https://iam', jwks: iam.json }]`, BASE],
    ['policies.folder', `${BASE}policies: elsewhere`, BASE],
    ['ledger.retainDays', `${BASE}ledger: { retainDays: 7 }`, BASE],
    ['state', `${BASE}state: 'sqlite:other.db'`, BASE],
  ])('names `%s`, which needs a restart, and keeps its value', (key, after, before) => {
    const { applied, waiting, live } = taken(before, after);
    expect([applied, waiting]).toEqual([[], [key]]);
    const { log, decisionLog, drainSeconds, endedTasks, enforcement, telemetry, issuer, extAuthz } = read(before).value;
    const { callers } = extAuthz;
    expect(live.now).toEqual({
      log,
      decisionLog,
      drainSeconds,
      endedTasks,
      enforcement,
      telemetry,
      issuer,
      extAuthz: { callers },
    });
  });

  it('names waiting keys each time until they have their old value, and applied keys once', () => {
    const live = new LiveConfig(read(BASE));
    const both = `${BASE}decisionLog: none\nadmin: { listen: '127.0.0.1:1' }\n`;
    expect(live.take(read(both))).toEqual({ applied: ['decisionLog'], waiting: ['admin.listen'] });
    expect(live.take(read(both))).toEqual({ applied: [], waiting: ['admin.listen'] });
    expect(live.take(read(BASE))).toEqual({ applied: ['decisionLog'], waiting: [] });
  });

  it('ignores a value that a variable overrides', () => {
    const environment = { REMIT_DECISION_LOG: 'none' };
    const live = new LiveConfig(read(BASE, environment));
    expect(live.take(read(`${BASE}decisionLog: stdout`, environment))).toEqual({ applied: [], waiting: [] });
  });
});
