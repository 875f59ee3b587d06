import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { examples } from '../../e2e/domain.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { diagnosed } from './diagnosed.ts';

/** A server of the example catalog that the shipped Envoy does not have. */
const UNSERVED = 'host/tickets.acme.test';

const folder = testFolders();
const PLANNER = 'spiffe://acme.test/ns/agents/sa/planner';
const issuer = { url: 'https://issuer.acme.test:9472' };

/** A fault in the configuration of Remit, or in what it names; `break` gets the folder. */
interface SettingFault {
  readonly name: string;
  readonly sections?: Readonly<Record<string, unknown>>;
  readonly break?: (at: string) => void;
  readonly found: string;
}

const permits = (text: string) => (at: string) => writeFileSync(join(at, 'policies/policies/open.cedar'), text);

/** Faults that the doctor was green over in Remit itself (issue 37, point 17). */
const FAULTS: readonly SettingFault[] = [
  {
    name: 'tokens that live longer than is accepted',
    sections: { issuer: { ...issuer, tokenSeconds: 600 }, extAuthz: { maxTokenSeconds: 300 } },
    found: 'error issuer.token-life',
  },
  {
    name: 'an issuer whose URL has another port',
    sections: { issuer: { ...issuer, url: 'https://issuer.acme.test:9999' } },
    found: 'warning issuer.port',
  },
  {
    name: 'an agent among the operators',
    sections: { issuer: { ...issuer, operators: [PLANNER] } },
    found: 'error issuer.operator-agent',
  },
  {
    name: 'an agent among the operators, whom a policy names with an escape',
    sections: { issuer: { ...issuer, operators: [`${PLANNER}-hidden`] } },
    break: permits(
      String.raw`@id("open") permit (principal == Remit::Agent::"\u{73}piffe://acme.test/ns/agents/sa/planner-hidden", action == Remit::Action::"payments.read", resource);`,
    ),
    found: 'error issuer.operator-agent',
  },
  {
    name: 'an agent that may start emergencies (issue 41, point 7)',
    sections: { issuer, enforcement: { emergency: { operators: [PLANNER] } } },
    found: 'error issuer.operator-agent',
  },
  {
    name: 'an agent that may be a sidecar (issue 37, point 8)',
    sections: {
      issuer,
      authority: { listen: '127.0.0.1:9474', sidecars: { id: PLANNER, audiences: 'https://a.acme.test' } },
    },
    found: 'error issuer.sidecar-agent',
  },
  {
    name: 'a namespace of sidecars of any name (issue 37, point 8)',
    sections: {
      issuer,
      authority: {
        listen: '127.0.0.1:9474',
        sidecars: { id: 'spiffe://acme.test/ns/tools/sa/*', audiences: 'https://a.acme.test' },
      },
    },
    found: 'warning issuer.any-sidecar',
  },
  {
    name: 'a namespace of sidecars of any name, by two stars',
    sections: {
      issuer,
      authority: {
        listen: '127.0.0.1:9474',
        sidecars: { id: 'spiffe://acme.test/ns/tools/sa/**', audiences: 'https://a.acme.test' },
      },
    },
    found: 'warning issuer.any-sidecar',
  },
  {
    name: 'stolen tokens that go on',
    sections: { extAuthz: { onBindingViolation: 'ignore' } },
    found: 'warning identity.stolen-tokens',
  },
  {
    name: 'an admin address at all addresses',
    sections: { admin: { listen: '0.0.0.0:9471' } },
    found: 'warning platform.admin-open',
  },
  {
    name: 'an admin address at all addresses, as an injected sidecar has it (issue 37, found)',
    sections: { admin: { listen: '0.0.0.0:9471', socket: 'unix:/tmp/admin.sock' } },
    found: 'info platform.admin-open',
  },
  {
    name: 'a policy folder that others can write',
    break: (at) => chmodSync(join(at, 'policies'), 0o777),
    found: 'error policy.writable',
  },
  {
    name: 'a policy that others can write',
    break: (at) => chmodSync(join(at, 'policies/policies/payments.cedar'), 0o666),
    found: 'error policy.writable',
  },
  {
    name: 'a state file that others can write',
    break: (at) => {
      writeFileSync(join(at, 'state/state.db'), '');
      chmodSync(join(at, 'state/state.db'), 0o666);
    },
    found: 'error ledger.state-writable',
  },
  {
    name: 'a state folder that others can write',
    break: (at) => chmodSync(join(at, 'state'), 0o777),
    found: 'error ledger.state-writable',
  },
  {
    name: 'a folder above that of the state that others can write',
    break: (at) => {
      mkdirSync(join(at, 'state/own'));
      chmodSync(join(at, 'state'), 0o777);
      const file = join(at, 'remit.yaml');
      writeFileSync(file, readFileSync(file, 'utf8').replace('state/state.db', 'state/own/state.db'));
    },
    found: 'error ledger.state-writable',
  },
  {
    name: 'a database whose rows are not sealed (issue 37, point 11)',
    sections: {
      issuer,
      state: 'postgres://remit_authority@127.0.0.1/remit',
      authority: {
        listen: '127.0.0.1:9474',
        sidecars: { id: 'spiffe://acme.test/ns/tools/sa/tools', audiences: 'https://a.acme.test' },
      },
    },
    found: 'warning ledger.state-unsealed',
  },
  {
    name: 'a permit for any agent',
    break: permits('@id("open")\npermit (principal, action == Remit::Action::"payments.read", resource);\n'),
    found: 'warning policy.open-permit',
  },
  {
    name: 'a permit of high risk under any intent',
    break: permits(
      `@id("open")\npermit (principal == Remit::Agent::"${PLANNER}", action == Remit::Action::"payments.refund", resource);\n`,
    ),
    found: 'warning policy.open-permit',
  },
];

/** A configuration with its policies and state, broken by a fault. */
function broken({ break: change, sections = {} }: Partial<SettingFault>): string {
  const at = folder();
  cpSync(examples, join(at, 'policies'), { recursive: true });
  mkdirSync(join(at, 'state'));
  writeFileSync(join(at, 'key.pem'), '');
  const extAuthz = { listen: `unix:${join(at, 'check.sock')}` };
  const file = join(at, 'remit.yaml');
  const svid = { certificate: join(at, 'key.pem'), key: join(at, 'key.pem'), bundle: join(at, 'key.pem') };
  const config = {
    trustDomains: ['acme.test'],
    svid,
    state: `sqlite:${join(at, 'state/state.db')}`,
    policies: { folder: join(at, 'policies') },
    ...sections,
    extAuthz: { ...extAuthz, ...Object(sections['extAuthz']) },
  };
  writeFileSync(file, stringify(config));
  change?.(at);
  return file;
}

const SETTINGS =
  /^(?:issuer\.(?:token-life|port|operator-agent|sidecar-agent|any-sidecar)|identity\.stolen-tokens|platform\.admin-open|policy\.(?:writable|open-permit)|ledger\.state-(?:writable|unsealed))$/;

async function found(file: string): Promise<readonly string[]> {
  const args = ['--json', '--config', file, '--only', 'issuer,identity,platform,policy,ledger'];
  const { findings, report } = await diagnosed(args);
  expect(report.not_examined.join('\n')).not.toMatch(/remit\.yaml/);
  return findings.filter(({ code }) => SETTINGS.test(code)).map(({ code, level }) => `${level} ${code}`);
}

/** No change. */
const same = (one: string): string => one;

/** Envoy takes ports out of hosts. */
const stripped = (one: string): string =>
  one.replace('stat_prefix: agents\n', 'stat_prefix: agents\n                strip_any_host_port: true\n');
/** An audience with a port. */
const atPort = (at: string): void => {
  const file = join(at, 'policies/actions.yaml');
  const from = 'audience: https://payments.acme.test';
  writeFileSync(file, readFileSync(file, 'utf8').replace(from, `${from}:8443`));
};

describe('what the configuration of Remit says', () => {
  it('is nothing to tell if all is well', async () => {
    expect(await found(broken({ sections: { issuer } }))).toEqual([]);
  });

  it.each(FAULTS)('has $name', async ({ found: code, ...fault }) => {
    expect(await found(broken(fault))).toEqual([code]);
  });
});

describe('Envoy and the Remit beside it', () => {
  let text: string;
  beforeAll(() => {
    text = readFileSync(resolve(import.meta.dirname, '../../../deploy/envoy/envoy.yaml'), 'utf8');
  });

  const together = async (
    sections: Readonly<Record<string, unknown>>,
    change: (text: string) => string,
    breaking: (at: string) => void = () => undefined,
  ) => {
    const envoy = join(folder(), 'envoy.yaml');
    writeFileSync(envoy, change(text));
    const { findings } = await diagnosed(['--json', '-f', envoy, '--config', broken({ sections, break: breaking })]);
    return findings
      .filter(({ code, level, where }) => code.startsWith('envoy.') && level !== 'info' && !where.endsWith(UNSERVED))
      .map(({ code, level, where }) => `${level} ${code} ${where.replace(`${envoy}: `, '')}`);
  };

  it('agree as shipped', async () => {
    expect(await together({}, same)).toEqual([]);
  });

  const SECOND = '                          trust_bundle: { filename: /etc/remit/envoy/bundle.pem }\n';

  it.each<[string, Readonly<Record<string, unknown>>, (text: string) => string, readonly string[]]>([
    [
      'a body limit of Envoy',
      {},
      (one) => one.replace('max_request_bytes: 65536', 'max_request_bytes: 8192'),
      ['warning envoy.fails-calls listener/agents'],
    ],
    [
      'a body limit of Remit',
      { extAuthz: { maxBodyBytes: 8_192 } },
      same,
      ['warning envoy.fails-calls listener/agents'],
    ],
    [
      'an identity by a header that Envoy takes away',
      { extAuthz: { identity: 'xfcc', proxyId: 'spiffe://acme.test/envoy' } },
      same,
      ['error envoy.fails-calls listener/agents'],
    ],
    [
      'a second trust domain',
      {},
      (one) =>
        one.replace(
          SECOND,
          `${SECOND}                        - { name: other.test, trust_bundle: { filename: /etc/remit/envoy/other.pem } }\n`,
        ),
      ['warning envoy.weak-tls listener/agents'],
    ],
    [
      'a host that no route serves',
      {},
      (one) => one.replace('domains: [files.acme.test]', 'domains: [other.acme.test]'),
      ['warning envoy.host-unserved host/files.acme.test'],
    ],
  ])('differ in %s', async (_name, sections, change, expected) => {
    expect(await together(sections, change)).toEqual(expected);
  });

  describe('with an MCP server that asks back', () => {
    const TOOL = '          action: tickets.create\n';
    const asking = (at: string): void => {
      const catalog = join(at, 'policies/actions.yaml');
      const text = readFileSync(catalog, 'utf8');
      writeFileSync(catalog, text.replace(TOOL, `${TOOL}          tasks: true\n`));
    };
    const OWN = '              - endpoint: { address: { pipe: { path: /run/remit/check.sock } } }\n';
    const SECOND_PROCESS = OWN.replace('check.sock', 'check-2.sock');

    it.each<[string, string, readonly string[]]>([
      ['one process', OWN, []],
      ['two processes in turn', `${OWN}${SECOND_PROCESS}`, ['warning envoy.split-sessions cluster/remit']],
      [
        'a process and a process in reserve',
        `${OWN}          - priority: 1\n            lb_endpoints:\n${SECOND_PROCESS}`,
        [],
      ],
    ])('%s', async (_name, endpoints, expected) => {
      expect(await together({}, (one) => one.replace(OWN, endpoints), asking)).toEqual(expected);
    });
  });

  it('differ in an audience with a port, if Envoy takes ports out of hosts', async () => {
    expect(await together({}, same, atPort)).toEqual([]);
    expect(await together({}, stripped)).toEqual([]);
    expect(await together({}, stripped, atPort)).toEqual(['warning envoy.fails-calls listener/agents']);
  });
});
