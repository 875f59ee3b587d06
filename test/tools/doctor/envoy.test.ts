import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { writeCredential } from '../../../src/dev/authority.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../../src/dev/envoy.ts';
import type { DevDomain } from '../../../src/dev/domain.ts';
import { codes } from '../../../src/tools/doctor/codes.ts';
import { testFolder } from '../../builders/test-folders.ts';
import { scratchFolder, startDomain } from '../../e2e/domain.ts';
import { describeWith, envoyPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { diagnosed } from './diagnosed.ts';
import type { Diagnosis, FoundFinding } from './diagnosed.ts';
import { ENVOY_FAULTS } from './envoy-faults.ts';
import { withFaults } from './fault-parts.ts';

// Processes start here, which is slow on a loaded machine.

const COLLECTOR = { host: '127.0.0.1', port: 4317 };

/** A listener that Envoy refuses: its manager has no `stat_prefix`. */
const REFUSED = {
  '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener',
  name: 'refused',
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    {
      filters: [
        {
          name: 'http',
          typed_config: {
            '@type':
              'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
          },
        },
      ],
    },
  ],
};

/** A configuration that takes listeners from a file too. */
const withRefused = (path: string, config: object): object => ({
  ...config,
  dynamic_resources: { lds_config: { path_config_source: { path }, resource_api_version: 'V3' } },
});

describeWith(envoyPart(), 'remit doctor on a running Envoy', (binary) => {
  const scratch = testFolder(async () => {
    await broken?.stop();
    await domain?.stop();
  });
  let domain: DevDomain;
  let broken: EnvoyProcess;
  let seen: Diagnosis;
  /** The status of a call without a token, by fault. */
  const statuses = new Map<string, number>();

  beforeAll(async () => {
    const { folder } = scratch;
    domain = await startDomain(binary, {
      folder,
      envoyConfig: (text) => text.replace(/(\n +)timeout: 10s/, '$1timeout: 5s'),
    });
    const text = await shippedEnvoyConfig();
    await writeFile(join(folder, 'lds.yaml'), stringify({ resources: [REFUSED] }));
    const names = { dns: ['payments.acme.test'], ips: [] };
    const own = await writeCredential(folder, 'broken', await domain.authority.svid('/ns/gateway/sa/envoy', names));
    const started = await EnvoyProcess.start({
      binary,
      readyWithinMs: 120_000,
      config: (adminSocket) =>
        stringify(
          withRefused(
            join(folder, 'lds.yaml'),
            withFaults(
              envoyConfigWithFiles(
                text,
                {
                  listener: { host: '127.0.0.1', port: 0 },
                  adminSocket,
                  remitSocket: join(folder, 'check.sock'),
                  payments: domain.payments.address,
                  files: { host: '127.0.0.1', port: 9 },
                  collector: COLLECTOR,
                },
                {
                  ...own,
                  bundles: new Map([['acme.test', join(folder, 'bundle.pem')]]),
                },
              ),
              ENVOY_FAULTS,
            ),
          ),
          { aliasDuplicateObjects: false },
        ),
    });
    if (!(started instanceof EnvoyProcess)) throw new Error(started.problem);
    broken = started;
    const { adminSocket } = broken;
    // Endpoints count as unhealthy until their first health check.
    const unhealthy = ENVOY_FAULTS.filter(({ found }) =>
      found.some((code) => code === 'envoy.unreachable' || code === 'envoy.no-endpoint'),
    ).length;
    const isChecked = async (): Promise<boolean> => {
      const { body } = await broken.admin(
        '/stats?filter=%5Ecluster.remit.*%28membership_healthy%7Chealth_check.failure%29%24',
      );
      const failures = [...body.matchAll(/health_check\.failure: [1-9]/g)].length;
      return failures >= unhealthy - 1 && [...body.matchAll(/membership_healthy: 0/g)].length === unhealthy;
    };
    await until(isChecked, { what: 'health checks', withinMs: 60_000 });
    for (const { isOpen, name } of ENVOY_FAULTS) {
      if (!isOpen && name !== 'as-shipped') continue;
      const call = { host: 'payments.acme.test', path: '/v1/payments/p-1' };
      statuses.set(name, (await domain.stage.planner.call(await portOf(broken, name), call)).status);
    }
    seen = await diagnosed(['--only', 'envoy', '--envoy', `unix:${adminSocket}`, '--json']);
  });

  const about = (name: string): readonly FoundFinding[] =>
    seen.findings.filter(({ where }) =>
      new RegExp(`^(?:listener|cluster)/(?:remit-|tool-)?${name}(?:-open|-misspelt)?(?:$|/)`).test(where),
    );

  it.each(ENVOY_FAULTS)('finds $name', ({ name, found }) => {
    const names = name === 'cluster-misnamed' ? 'misspelt' : name;
    const codesFound = [...about(names), ...(names === name ? [] : about(name))].map(({ code }) => code);
    expect([...new Set(codesFound)].toSorted()).toEqual(found.toSorted());
  });

  it('and if it says that calls pass, a call without a token passes', () => {
    expect(statuses.get('as-shipped')).toBe(401);
    statuses.delete('as-shipped');
    expect([...statuses]).toEqual(ENVOY_FAULTS.flatMap(({ isOpen, name }) => (isOpen ? [[name, 200]] : [])));
  });

  it('finds a listener that Envoy refused', () => {
    expect(seen.findings.filter(({ code }) => code === 'envoy.config-refused')).toEqual([
      expect.objectContaining({ where: 'listener/refused', message: expect.stringContaining('StatPrefix') }),
    ]);
  });

  it('finds nothing else', () => {
    expect(seen.exit).toBe(1);
    const others = seen.findings.filter(
      ({ level, where }) => level !== 'info' && /\/agents(?:$|\/)|\/remit$/.test(where),
    );
    expect(others).toEqual([]);
    expect(seen.findings.filter(({ code }) => !codes.has(code))).toEqual([]);
  });

  const canary = async (port: number, remit = domain.places.get('readiness')?.replace('/readyz', '') ?? '') => {
    const [cert = '', key = '', ca = ''] = ['planner.pem', 'planner.key', 'bundle.pem'].map((name) =>
      join(scratch.folder, name),
    );
    const own = ['--cert', cert, '--key', key, '--ca', ca];
    const url = 'https://payments.acme.test/v1/payments/p-1?secret=1';
    const to = ['--connect-to', `127.0.0.1:${port}`, '--remit', remit];
    return diagnosed(['--only', 'canary', '--canary', url, ...to, ...own, '--json']);
  };

  describe('with --canary', () => {
    it.each([
      ['as-shipped', []],
      ['route-disabled', ['error canary.not-asked']],
      ['filter-missing', ['error canary.not-asked']],
      ['passed-unchecked', ['error canary.not-asked']],
      ['istio-bad-provider', ['error canary.not-asked']],
      ['cluster-misnamed', ['error canary.not-reached']],
      ['shadow-mode', ['warning canary.allowed']],
    ])('finds at %s %j', async (fault, found) => {
      const { findings } = await canary(await portOf(broken, fault));
      expect(findings.map(({ code, level }) => `${level} ${code}`)).toEqual(found);
    });

    it('says what it called, without the query', async () => {
      const { exit, report } = await canary(domain.stage.envoyPort);
      expect(report.examined).toEqual(['a call of https://payments.acme.test/v1/payments/p-1: 403']);
      expect(exit).toBe(0);
    });

    it('says so if Remit cannot be asked for its counters', async () => {
      const { findings } = await canary(domain.stage.envoyPort, '127.0.0.1:1');
      expect(findings).toEqual([expect.objectContaining({ code: 'canary.unproven', level: 'info' })]);
    });

    it('exits with 3 if nobody answers', async () => {
      const { exit, report } = await canary(1);
      expect(report.not_examined).toEqual([expect.stringContaining('got no answer: connect ECONNREFUSED')]);
      expect(exit).toBe(3);
    });
  });

  it('finds nothing if everything is as shipped', async () => {
    const admin = domain.places.get('admin of envoy') ?? '';
    const healthy = await diagnosed(['--only', 'envoy', '--envoy', admin, '--fail-level', 'warning', '--json']);
    expect(healthy.findings.filter(({ level }) => level !== 'info')).toEqual([]);
    expect(healthy.exit).toBe(0);
    expect(healthy.report.examined).toEqual([
      expect.stringMatching(/^Envoy 1\.40\.0 at unix:.*: 1 listener, \d clusters$/),
    ]);
  });
});

/** The port of a listener. */
async function portOf(envoy: EnvoyProcess, name: string): Promise<number> {
  const { body } = await envoy.admin('/listeners?format=json');
  const listeners: readonly Listening[] = JSON.parse(body).listener_statuses;
  const port = listeners.find((one) => one.name === name)?.local_address.socket_address.port_value;
  if (port === undefined) throw new Error(`no listener ${name}`);
  return port;
}

interface Listening {
  readonly name: string;
  readonly local_address: { readonly socket_address: { readonly port_value: number } };
}

describeWith(envoyPart('1.36.4'), 'remit doctor on an old Envoy', (binary) => {
  it('reads it, and says that it is old', async () => {
    const { folder, remove } = await scratchFolder('remit-old-');
    const domain = await startDomain(binary, { folder });
    try {
      const admin = domain.places.get('admin of envoy') ?? '';
      const args = ['--only', 'envoy', '--envoy', admin, '--json', '--suppress', 'envoy.long-timeout=*'];
      const { findings } = await diagnosed(args);
      const found = findings.filter(({ level }) => level !== 'info');
      expect(found).toEqual([expect.objectContaining({ code: 'envoy.old-version', where: 'envoy' })]);
    } finally {
      await domain.stop();
      await remove();
    }
  });
});
