import { describe, expect, it } from '@jest/globals';
import { configFrom, configProblemText } from '../../../src/core/config/config.ts';

const read = (yaml: string, environment: Record<string, string> = {}) =>
  configFrom(yaml, { file: 'remit.yaml', folder: '/etc/remit', environment });

const problemsOf = (yaml: string): readonly string[] => {
  const config = read(yaml);
  return 'problems' in config ? config.problems.map(configProblemText) : [];
};

/** The configuration of an authority on a PostgreSQL, with more in its section `issuer`. */
const onPostgres = (issuer: string): string => `trustDomains: acme.test
svid: { workloadApi: unix:///run/spire/agent.sock }
issuer: { url: https://remit.acme.test${issuer} }
state: postgres://remit@db/remit
authority: { listen: 127.0.0.1:9474, sidecars: { id: spiffe://acme.test/tools, audiences: https://payments.acme.test } }
`;

describe('configFrom', () => {
  it('requires only the trust domain', () => {
    const config = read('trustDomains: acme.test\n');
    expect(config).toMatchObject({
      value: {
        trustDomains: ['acme.test'],
        extAuthz: {
          listen: [{ kind: 'unix', path: '/run/remit/check.sock' }],
          identity: 'peer',
          binding: 'certificate',
          checksInFlight: 256,
          maxChecksPerSecondPerAgent: 2_000,
        },
        issuer: null,
        decisionLog: 'denials',
        log: { format: 'text', level: 'info' },
        telemetry: { spanArguments: false },
        acceptedIssuers: [],
        policies: {
          folder: '/etc/remit/cedar-policies',
          bundle: null,
          candidate: null,
          lookSeconds: 2,
          maxAgeSeconds: null,
        },
        state: { kind: 'sqlite', path: '/var/lib/remit/state.db' },
        ledger: { folder: '/var/lib/remit/ledger', others: [] },
        outcomes: { expected: 'auto', timeoutSeconds: 60 },
      },
    });
  });

  it('refuses two places of one server with pins', () => {
    const place = '{ server: tools, url: https://tools.acme.test/mcp }';
    const other = '{ server: mail, url: https://mail.acme.test/mcp }';
    expect(problemsOf(onPostgres(`, toolPins: { servers: [${place}, ${other}] }`))).toEqual([]);
    expect(problemsOf(onPostgres(`, toolPins: { servers: [${place}, ${other}, ${place}] }`))).toEqual([
      expect.stringMatching(/issuer\.toolPins\.servers.*names the server `tools` twice/),
    ]);
  });

  it('resolves relative paths against the folder of the file', () => {
    const config = read('trustDomains: [acme.test]\npolicies: p\nstate: sqlite:s.db\n');
    expect(config).toMatchObject({
      value: {
        policies: { folder: '/etc/remit/p', lookSeconds: 2 },
        state: { kind: 'sqlite', path: '/etc/remit/s.db' },
      },
    });
  });

  it('is overridden by the environment', () => {
    const config = read('trustDomains: acme.test\nextAuthz:\n  checksInFlight: 10\n', {
      REMIT_EXT_AUTHZ_CHECKS_IN_FLIGHT: '20',
      REMIT_ADMIN_LISTEN: '[::1]:9999',
    });
    expect(config).toMatchObject({
      value: { extAuthz: { checksInFlight: 20 }, admin: { listen: { kind: 'tcp', host: '::1', port: 9999 } } },
    });
  });

  it('reads `true` and `false` of a variable as booleans, and refuses every other word for one', () => {
    const text = 'trustDomains: acme.test\ntelemetry: { spanArguments: true }\n';
    const off = { REMIT_TELEMETRY_SPAN_ARGUMENTS: 'false', REMIT_LEDGER_INDEX: 'false' };
    expect(read(text, off)).toMatchObject({
      value: { telemetry: { spanArguments: false }, ledger: { index: false } },
    });
    expect(read('trustDomains: acme.test\n', { REMIT_TELEMETRY_SPAN_ARGUMENTS: 'true' })).toMatchObject({
      value: { telemetry: { spanArguments: true } },
    });
    for (const word of ['0', '1', 'no', 'yes', 'off', 'FALSE', '']) {
      const config = read(text, { REMIT_TELEMETRY_SPAN_ARGUMENTS: word });
      expect(config).toMatchObject({
        problems: [{ field: 'telemetry.spanArguments', message: 'must be `true` or `false`' }],
      });
    }
  });

  it.each<[string, string, Record<string, string>]>([
    ['stateAccess', 'trustDomains: acme.test\nstateAccess: shared\n', {}],
    ['REMIT_STATE_ACCESS', 'trustDomains: acme.test\n', { REMIT_STATE_ACCESS: 'exclusive' }],
  ])('refuses `%s`, a key of earlier versions, and says what replaces it', (field, text, environment) => {
    expect(read(text, environment)).toMatchObject({
      problems: [
        {
          field,
          message: expect.stringMatching(
            /was removed: .*`authority\.listen: unix:\/path`.*`state: authority:unix:\/path`.*install\/processes\.md$/,
          ),
        },
      ],
    });
  });

  it('puts the signing keys beside the state file', () => {
    const text =
      'trustDomains: acme.test\nstate: sqlite:/s/state.db\nsvid: { certificate: c, key: k, bundle: b }\nissuer: { url: https://i.acme.test }\n';
    expect(read(text)).toMatchObject({ value: { issuer: { signingKey: '/s/signing-keys' } } });
    expect(read(text, { REMIT_ISSUER_SIGNING_KEY: '/k' })).toMatchObject({ value: { issuer: { signingKey: '/k' } } });
  });

  it.each([
    ['REMIT_EXT_AUTHZ_LISTN', 'is not a known variable; did you mean `REMIT_EXT_AUTHZ_LISTEN`?'],
    ['REMIT_NONSENSE', 'is not a known variable; a scalar of the file is overridden by `REMIT_` and its path'],
    ['REMIT_ACCEPTED_ISSUERS_JWKS', 'is not a known variable'],
    ['REMIT_ISSUER_URL', 'changes nothing: the file has no section `issuer`'],
    ['REMIT_TRUST_DOMAINS', 'changes nothing: the file has a list at `trustDomains`'],
  ])('refuses the variable %s', (name, message) => {
    const config = read('trustDomains: [acme.test]\n', { [name]: 'x' });
    expect('problems' in config && config.problems.map(configProblemText)).toEqual([
      expect.stringContaining(`environment: \`${name}\` ${message}`),
    ]);
  });

  it.each(['REMIT_TOKEN', 'REMIT_TASK_ID', 'REMIT_SERVICE_PORT_ADMIN', 'REMIT_ISSUER_PORT_9472_TCP', 'REMIT_PORT'])(
    'ignores the variable %s, which is not a field',
    (name) => {
      expect(read('trustDomains: acme.test\n', { [name]: 'x' })).toHaveProperty('value');
    },
  );

  it('is frozen', () => {
    const config = read('trustDomains: acme.test\n');
    expect('value' in config && Object.isFrozen(config.value) && Object.isFrozen(config.value.extAuthz)).toBe(true);
  });

  it('reads policies as a folder or a section', () => {
    const config = read(
      'trustDomains: [acme.test]\npolicies: { bundle: { from: "https://p.acme.test/b.jws", name: prod, keys: k.json, signatures: 2 }, candidate: next, lookSeconds: 30, maxAgeSeconds: 3600 }\n',
      { REMIT_POLICIES_LOOK_SECONDS: '10' },
    );
    expect('value' in config && config.value.policies).toEqual({
      folder: '/etc/remit/cedar-policies',
      bundle: { from: 'https://p.acme.test/b.jws', name: 'prod', keys: '/etc/remit/k.json', signatures: 2, ca: null },
      candidate: '/etc/remit/next',
      lookSeconds: 10,
      maxAgeSeconds: 3600,
    });
    expect(read('trustDomains: [acme.test]\n', { REMIT_POLICIES: '/p' })).toMatchObject({
      value: { policies: { folder: '/p' } },
    });
  });

  it('refuses a signing key for authorities on a PostgreSQL, which make their own', () => {
    expect(read(onPostgres(''))).toHaveProperty('value');
    expect(read(onPostgres(', signingKey: /etc/keys'))).toMatchObject({
      problems: [
        { field: 'issuer.signingKey', message: expect.stringContaining('each authority makes a key of its own') },
      ],
    });
  });

  it.each([
    ['nothing', '', ['remit.yaml: `trustDomains` is required']],
    [
      'an unknown key, with a suggestion',
      'trustDomains: acme.test\nextauthz: {}\n',
      ['remit.yaml:2:1: `extauthz` is not a known key; did you mean `extAuthz`?'],
    ],
    [
      'a trust domain in upper case',
      'trustDomains: [ACME.test]\n',
      [expect.stringMatching(/^remit\.yaml:1:16: `trustDomains\[0\]` must be a SPIFFE trust domain/)],
    ],
    [
      'a maximum age of at most three looks',
      'trustDomains: acme.test\npolicies: { lookSeconds: 10, maxAgeSeconds: 30 }\n',
      ['remit.yaml:2:11: `policies` must have a `maxAgeSeconds` of more than three times its `lookSeconds`'],
    ],
    [
      'a relative socket',
      'trustDomains: acme.test\nextAuthz:\n  listen: unix:x.sock\n',
      [
        'remit.yaml:3:11: `extAuthz.listen` must be `unix:/path` or `host:port`: the path of the socket must be absolute',
      ],
    ],
    // Issue 14: other machines could send checks, without encryption and authentication.
    ...['0.0.0.0:9470', '[::]:9470', '10.0.0.7:9470', 'remit.acme.test:9470', '[::ffff:10.0.0.7]:9470'].map(
      (listen) =>
        [
          `checks at \`${listen}\` without callers`,
          `trustDomains: acme.test\nextAuthz:\n  listen: ['127.0.0.1:9470', '${listen}']\n`,
          [
            `remit.yaml: \`extAuthz.callers\` is required with \`${listen}\`: the SPIFFE IDs of the Envoys that may ask over the network. Beside Envoy (same host or pod) listen on a Unix socket or loopback`,
          ],
        ] as [string, string, unknown[]],
    ),
    [
      'checks over the network without an SVID',
      "trustDomains: acme.test\nextAuthz: { listen: '0.0.0.0:9470', callers: ['spiffe://acme.test/gateway'] }\n",
      ['remit.yaml: `svid` is required with `extAuthz.listen: 0.0.0.0:9470`: callers and Remit verify each other'],
    ],
    [
      'callers on loopback, which would not be verified',
      "trustDomains: acme.test\nextAuthz: { listen: '127.0.0.1:9470', callers: ['spiffe://acme.test/gateway'] }\n",
      [
        'remit.yaml: `extAuthz.callers` needs an address in `extAuthz.listen` that is neither loopback nor a Unix socket: those are in clear and verify no caller',
      ],
    ],
    [
      'a pattern as a caller',
      "trustDomains: acme.test\nextAuthz: { listen: '0.0.0.0:9470', callers: ['spiffe://acme.test/ns/*'] }\n",
      [expect.stringMatching(/^remit\.yaml:2:\d+: `extAuthz\.callers\[0\]` must be a SPIFFE ID/)],
    ],
    [
      'a number out of range',
      'trustDomains: acme.test\nextAuthz: { maxTokenSeconds: 901 }\n',
      ['remit.yaml:2:30: `extAuthz.maxTokenSeconds` must be a whole number from 1 to 900'],
    ],
    [
      'a timeout of 0 for outcomes',
      'trustDomains: acme.test\noutcomes: { timeoutSeconds: 0 }\n',
      ['remit.yaml:2:29: `outcomes.timeoutSeconds` must be a whole number from 1 to 86400'],
    ],
    [
      'a word outside the set',
      'trustDomains: acme.test\nextAuthz: { identity: header }\n',
      ['remit.yaml:2:23: `extAuthz.identity` must be one of `peer`, `xfcc`: got `header`'],
    ],
    [
      'xfcc without a pinned proxy',
      'trustDomains: acme.test\nextAuthz: { identity: xfcc }\n',
      ['remit.yaml: `extAuthz.proxyId` is required with `identity: xfcc`: it names the proxy whose header is trusted'],
    ],
    [
      'an issuer without an SVID',
      'trustDomains: acme.test\nissuer: { url: https://issuer.acme.test }\n',
      ['remit.yaml: `svid` is required with `issuer`: its certificate serves HTTPS'],
    ],
    [
      'an issuer over plain HTTP',
      'trustDomains: acme.test\nsvid: { certificate: c, key: k, bundle: b }\nissuer: { url: http://issuer.acme.test }\n',
      ['remit.yaml:3:16: `issuer.url` must be an `https:` URL without query, fragment and trailing slash: invalid URL'],
    ],
    [
      'limits of the issuer that are out of range or unknown',
      'trustDomains: acme.test\nsvid: { certificate: c, key: k, bundle: b }\nissuer:\n  url: https://issuer.acme.test\n  limits: { connections: 8, perClient: 1 }\n',
      [
        expect.stringContaining('`issuer.limits.perClient`'),
        'remit.yaml:5:26: `issuer.limits.connections` must be a whole number from 16 to 65536',
      ],
    ],
    ['broken YAML', 'trustDomains: [acme.test\n', [expect.stringMatching(/^remit\.yaml:\d+:\d+: /)]],
    ['a scalar as the whole file', 'just text\n', ['remit.yaml:1:1: must be a section of `key: value` lines']],
    [
      'several problems at once',
      'trustDomains: acme.test\nextAuthz: { binding: none, checksInFlight: 0 }\n',
      [expect.stringContaining('`extAuthz.binding`'), expect.stringContaining('`extAuthz.checksInFlight`')],
    ],
  ])('reports %s', (_name, yaml, problems) => {
    expect(problemsOf(yaml)).toEqual(problems);
  });
});
