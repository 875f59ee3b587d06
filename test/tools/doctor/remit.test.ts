import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { CATEGORIES, isOfRemit } from '../../../src/tools/doctor/codes.ts';
import { writeCredential } from '../../../src/dev/authority.ts';
import type { DevDomain } from '../../../src/dev/domain.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { testFolder } from '../../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, scratchFolder, startDomain } from '../../e2e/domain.ts';
import { segmentsOf, tamper } from '../../cli/ledgers.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { diagnosed } from './diagnosed.ts';
import type { FoundFinding } from './diagnosed.ts';

const OWN = CATEGORIES.filter(isOfRemit).join(',');
const OTHER_GROUP = '54321';

/** Undoes what a fault broke. */
type Undo = () => void | Promise<void>;

describeWith(envoyPart(), '`remit doctor` about a running Remit', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let leadMs = 0;
  const at = (name: string): string => join(scratch.folder, name);
  const config = (): string => at('remit.yaml');
  const socket = (): string => at('check.sock');
  const policyFile = (): string => at('policies/policies/payments.cedar');

  beforeAll(async () => {
    mkdirSync(at('policies'));
    cpSync(examples, at('policies'), { recursive: true });
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      policies: at('policies'),
      ports: { ...systemPorts, nowMs: () => systemPorts.nowMs() + leadMs },
      settings: {
        admin: { listen: '127.0.0.1:0', socket: `unix:${at('admin.sock')}` },
        policies: { folder: at('policies'), lookSeconds: 3_600 },
      },
    });
    const { token } = await mustDeclare(domain.stage.planner, domain);
    await callPayments(domain.stage.planner, domain, { token });
    await domain.remit.flush();
  });

  const examined = (file = config(), only = OWN) =>
    diagnosed(['--json', '--config', file, '--remit', `unix:${at('admin.sock')}`, '--only', only]);

  const isUnrenewed = async (): Promise<boolean> =>
    (await examined()).findings.some(({ code }) => code === 'identity.not-renewed');

  /** A configuration with other sections, which is examined without a Remit that runs with it. */
  const otherConfig = (sections: Readonly<Record<string, object>>): string => {
    const file = at('other.yaml');
    const whole = parse(readFileSync(config(), 'utf8')) as Record<string, object>;
    const merged = Object.entries(sections).map(([name, section]) => [name, { ...whole[name], ...section }] as const);
    writeFileSync(file, stringify({ ...whole, ...Object.fromEntries(merged) }));
    return file;
  };

  it('finds nothing to warn of if nothing is wrong, and says what it examined', async () => {
    const { exit, findings, report } = await examined();
    expect(findings.filter(({ level }) => level !== 'info')).toEqual([]);
    expect([exit, report.not_examined]).toEqual([0, []]);
    expect(report.examined).toEqual([
      expect.stringMatching(/^Remit \S+ at unix:.*admin\.sock$/),
      `what ${config()} names on this machine`,
    ]);
  });

  const ofSocket: readonly (readonly [code: string, breaking: () => Undo])[] = [
    [
      'socket.mode',
      () => {
        chmodSync(socket(), 0o666);
        return () => chmodSync(socket(), 0o660);
      },
    ],
    [
      'socket.missing',
      () => {
        renameSync(socket(), at('gone.sock'));
        return () => renameSync(at('gone.sock'), socket());
      },
    ],
    [
      'socket.folder',
      () => {
        chmodSync(scratch.folder, 0o777);
        return () => chmodSync(scratch.folder, 0o700);
      },
    ],
    [
      'identity.clock',
      () => {
        leadMs = 60_000;
        return () => {
          leadMs = 0;
        };
      },
    ],
    [
      'policy.invalid',
      () => {
        const text = readFileSync(policyFile(), 'utf8');
        writeFileSync(policyFile(), 'permit (what');
        return () => writeFileSync(policyFile(), text);
      },
    ],
    [
      'policy.not-in-force',
      () => {
        const text = readFileSync(policyFile(), 'utf8');
        writeFileSync(policyFile(), `${text}\n// another comment\n`);
        return () => writeFileSync(policyFile(), text);
      },
    ],
    [
      'policy.lint',
      () => {
        const text = readFileSync(policyFile(), 'utf8');
        writeFileSync(
          policyFile(),
          text.replace('@id("payments-limit")', '@id("payments-limit")\n@accept("any-action")'),
        );
        return () => writeFileSync(policyFile(), text);
      },
    ],
    [
      'policy.no-permit',
      () => {
        const folder = at('policies/policies');
        const kept = at('kept');
        cpSync(folder, kept, { recursive: true });
        for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
        writeFileSync(join(folder, 'none.cedar'), '@id("none")\nforbid (principal, action, resource);\n');
        return () => {
          rmSync(folder, { recursive: true });
          renameSync(kept, folder);
        };
      },
    ],
  ];
  it.each(ofSocket)('finds %s', async (code, breaking) => {
    const undo = breaking();
    try {
      const { exit, findings } = await examined();
      const found = findings.find((one) => one.code === code);
      expect(found).toMatchObject({ see: expect.stringContaining(`#${code.replace('.', '')}`) });
      expect(exit).toBe(found?.level === 'error' ? 1 : exit);
    } finally {
      await undo();
    }
  });

  it('finds none of it once all of it is undone', async () => {
    expect((await examined()).findings.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('finds loads that failed, after a reload', async () => {
    const text = readFileSync(policyFile(), 'utf8');
    writeFileSync(policyFile(), 'permit (what');
    await domain.remit.reload();
    const { findings } = await examined();
    writeFileSync(policyFile(), text);
    await domain.remit.reload();
    expect(findings.map(({ code }) => code)).toEqual(expect.arrayContaining(['policy.invalid', 'policy.load-failed']));
  });

  const ofConfig: readonly (readonly [
    code: string,
    sections: () => Readonly<Record<string, object>> | Promise<Readonly<Record<string, object>>>,
  ])[] = [
    ['socket.group', () => ({ extAuthz: { socketGroup: OTHER_GROUP } })],
    ['socket.group', () => ({ extAuthz: { socketGroup: 'no-such-group' } })],
    [
      'socket.refuses',
      async () => {
        const server = createServer();
        await new Promise<void>((settle) => void server.listen(at('early.sock'), settle));
        renameSync(at('early.sock'), at('stale.sock'));
        chmodSync(at('stale.sock'), 0o660);
        await new Promise((settle) => void server.close(settle));
        return { extAuthz: { listen: `unix:${at('stale.sock')}` } };
      },
    ],
    ['socket.missing', () => ({ extAuthz: { listen: `unix:${config()}` } })],
    ['identity.unreadable', () => ({ svid: { certificate: config() } })],
    [
      'identity.expired',
      async () => {
        const svid = await domain.authority.svid('/remit', {
          notBeforeMs: systemPorts.nowMs() - 7_200_000,
        });
        return { svid: await writeCredential(scratch.folder, 'old', svid) };
      },
    ],
    ['issuer.unreachable', () => ({ issuer: { listen: '127.0.0.1:1' } })],
    [
      'issuer.certificate',
      () => ({ issuer: { listen: `127.0.0.1:${domain.stage.issuerPort}`, url: 'https://another.test' } }),
    ],
    ['ledger.missing', () => ({ ledger: { folder: at('nowhere') } })],
    [
      'ledger.broken',
      () => {
        cpSync(at('ledger'), at('tampered'), { recursive: true });
        for (const path of segmentsOf(at('tampered'))) tamper(path, 'DELETE FROM records WHERE seq = ?', 1);
        return { ledger: { folder: at('tampered') } };
      },
    ],
  ];
  it.each(ofConfig)('finds %s in what a configuration names', async (code, sections) => {
    const { exit, findings } = await examined(otherConfig(await sections()));
    expect(findings.map((one) => one.code)).toContain(code);
    expect(exit).toBe(1);
  });

  it('finds nothing wrong with the issuer if that listens', async () => {
    const port = domain.stage.issuerPort;
    const file = otherConfig({ issuer: { listen: `127.0.0.1:${port}`, url: `https://issuer.acme.test:${port}` } });
    const { exit, findings } = await examined(file, 'issuer');
    expect([exit, findings]).toEqual([0, []]);
  });

  it('runs in a container, without a shell and with no environment', async () => {
    const main = resolve(import.meta.dirname, '../../../dist/main.js');
    const words = [main, 'doctor', '--config', config(), '--remit', `unix:${at('admin.sock')}`, '--only', OWN];
    const child = spawn(process.execPath, words, { env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(String(chunk)));
    const [code] = await once(child, 'close');
    expect([code, chunks.join('')]).toEqual([0, expect.stringContaining('0 errors, 0 warnings')]);
  });

  it('says that it did not verify a ledger whose key it cannot read', async () => {
    const { findings } = await examined(otherConfig({ ledger: { key: at('no-key.pem') } }), 'ledger');
    expect(findings.map(({ code, level }) => `${code} ${level}`)).toEqual(['ledger.not-verified info']);
  });

  it('finds a Workload API that is not there', async () => {
    const file = otherConfig({});
    const whole = parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, stringify({ ...whole, svid: { workloadApi: `unix:${at('agent.sock')}` } }));
    const { findings } = await examined(file);
    expect(findings).toContainEqual(
      expect.objectContaining({ code: 'identity.no-socket', where: `socket/${at('agent.sock')}` }),
    );
  });

  it('finds an SVID that was not renewed, and none after its renewal', async () => {
    const names = { dns: ['localhost', 'issuer.acme.test'], ips: ['127.0.0.1'] };
    const renew = async (ageMs: number): Promise<void> => {
      const svid = await domain.authority.svid('/remit', { ...names, notBeforeMs: systemPorts.nowMs() - ageMs });
      await writeCredential(scratch.folder, 'remit', svid);
    };
    await renew(3_000_000);
    await until(async () => (await isUnrenewed()) || undefined);
    await renew(0);
    await until(async () => !(await isUnrenewed()) || undefined);
  });

  it('writes a bundle without secrets', async () => {
    const file = at('bundle.tar.gz');
    const args = ['--json', '--config', config(), '--remit', `unix:${at('admin.sock')}`, '--only', OWN];
    await diagnosed([...args, '--bundle', file]);
    const text = execFileSync('tar', ['-xzOf', file], { encoding: 'utf8' });
    expect(text).toContain('remit_build_info');
    const keys = readdirSync(scratch.folder).filter((name) => /\.(?:key|pem)$/.test(name));
    expect(keys.length).toBeGreaterThan(3);
    for (const name of keys) {
      const [, line = 'nothing'] = readFileSync(at(name), 'utf8').split('\n');
      expect(text).not.toContain(line);
    }
  });

  it.each([
    ['a port on which nobody listens', () => '127.0.0.1:1', 'did not answer'],
    ['an address of something else', () => `unix:${socket()}`, 'did not answer'],
  ])('says that it could not examine %s', async (_name, address, problem) => {
    const { exit, report } = await diagnosed(['--json', '--remit', address(), '--only', OWN]);
    expect([exit, report.not_examined.join('\n')]).toEqual([3, expect.stringContaining(problem)]);
  });

  it('says that there is no Remit, if it was to be examined', async () => {
    const { exit, report } = await diagnosed(['--json', '--only', OWN]);
    expect([exit, report.not_examined.join('\n')]).toEqual([3, expect.stringContaining('no Remit')]);
  });

  it('says what is wrong with a configuration', async () => {
    writeFileSync(at('wrong.yaml'), 'trustDomains: [acme.test]\nadmin: { lisen: x }\n');
    const { exit, report } = await diagnosed(['--json', '--config', at('wrong.yaml'), '--only', OWN]);
    expect([exit, report.not_examined.join('\n')]).toEqual([3, expect.stringContaining('wrong.yaml:2')]);
  });

  it('finds what a Remit says of itself: keys, policies, refused checks and spans that nobody takes', async () => {
    const other = await scratchFolder('remit-doctor2-');
    mkdirSync(join(other.folder, 'none'));
    const broken = await startDomain(envoy, {
      folder: other.folder,
      policies: examples,
      environment: { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_EXPORT_TIMEOUT: '1000' },
      settings: {
        admin: { listen: '127.0.0.1:0', socket: `unix:${join(other.folder, 'admin.sock')}` },
        acceptedIssuers: [
          {
            issuer: 'https://iam.acme.test',
            jwks: 'https://127.0.0.1:1/jwks',
            algorithms: ['ES256'],
            kind: 'external',
          },
        ],
        extAuthz: { maxChecksPerSecondPerAgent: 1 },
      },
    });
    try {
      const call = () => broken.stage.planner.call(broken.stage.envoyPort, { host: 'payments.acme.test' });
      await Promise.all(Array.from({ length: 20 }, call));
      const wanted = ['issuer.keys-missing', 'platform.overloaded', 'telemetry.not-taken'];
      const findings = await until(async () => {
        const args = ['--json', '--remit', `unix:${join(other.folder, 'admin.sock')}`, '--only', OWN];
        const found: readonly FoundFinding[] = (await diagnosed(args)).findings;
        return wanted.every((code) => found.some((one) => one.code === code)) ? found : undefined;
      });
      expect(findings.find(({ code }) => code === 'issuer.keys-missing')?.message).toContain('https://iam.acme.test');
    } finally {
      await broken.stop();
      await other.remove();
    }
  });
});
