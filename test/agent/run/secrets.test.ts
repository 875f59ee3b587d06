import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { nameMatcher } from '../../../src/agent/run/name-pattern.ts';
import { RUN_VARIABLES, scrubbed } from '../../../src/agent/run/secrets.ts';

const all = { scrub: true, keep: [], take: [] } as const;

/** What becomes of one variable by default. */
const fateOf = (name: string, value: string): string => {
  const { environment, removed, shortened } = scrubbed({ [name]: value }, all);
  if (removed.includes(name)) return 'taken';
  return shortened.includes(name) ? `passed as ${environment[name]}` : 'passed';
};

describe('scrubbed', () => {
  it.each([
    // AWS: developers' machines, CI, containers and pods.
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_SESSION_TOKEN',
    'aws_session_token',
    'AWS_SECURITY_TOKEN',
    'AWS_BEARER_TOKEN_BEDROCK',
    'AWS_WEB_IDENTITY_TOKEN_FILE',
    'AWS_CONTAINER_AUTHORIZATION_TOKEN',
    'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
    'AWS_CONTAINER_CREDENTIALS_FULL_URI',
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
    'AWS_SHARED_CREDENTIALS_FILE',
    'AWS_CONFIG_FILE',
    'AWS_NOT_KNOWN_YET',
    // Azure.
    'AZURE_CLIENT_SECRET',
    'AZURE_CLIENT_CERTIFICATE_PATH',
    'AZURE_CLIENT_CERTIFICATE_PASSWORD',
    'AZURE_FEDERATED_TOKEN_FILE',
    'AZURE_USERNAME',
    'AZURE_PASSWORD',
    'AZURE_STORAGE_KEY',
    'AZURE_STORAGE_CONNECTION_STRING',
    'AZURE_STORAGE_SAS_TOKEN',
    'AZURE_OPENAI_API_KEY',
    'AZURE_CONFIG_DIR',
    'ARM_CLIENT_SECRET',
    'ARM_ACCESS_KEY',
    'IDENTITY_HEADER',
    'MSI_SECRET',
    // Google.
    'GOOGLE_APPLICATION_CREDENTIALS',
    'GOOGLE_CREDENTIALS',
    'GOOGLE_OAUTH_ACCESS_TOKEN',
    'GOOGLE_API_KEY',
    'GEMINI_API_KEY',
    'CLOUDSDK_AUTH_ACCESS_TOKEN',
    'CLOUDSDK_CONFIG',
    // Models.
    'OPENAI_API_KEY',
    'OPENAI_ADMIN_KEY',
    'ANTHROPIC_API_KEY',
    'ANTHROPIC_AUTH_TOKEN',
    'ANTHROPIC_CUSTOM_HEADERS',
    'MISTRAL_API_KEY',
    'HF_TOKEN',
    'HUGGING_FACE_HUB_TOKEN',
    // Payment, messaging, source code, packages.
    'STRIPE_API_KEY',
    'STRIPE_SECRET_KEY',
    'STRIPE_WEBHOOK_SECRET',
    'SLACK_BOT_TOKEN',
    'SLACK_WEBHOOK_URL',
    'TWILIO_AUTH_TOKEN',
    'GH_TOKEN',
    'GITHUB_TOKEN',
    'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
    'CI_JOB_TOKEN',
    'GITLAB_PAT',
    'NPM_TOKEN',
    'NODE_AUTH_TOKEN',
    'npm_config__auth',
    'npm_config_//registry.npmjs.org/:_authToken',
    'NPM_CONFIG_USERCONFIG',
    'TWINE_PASSWORD',
    // Agents, keyrings and logins of tools.
    'SSH_AUTH_SOCK',
    'SSH_ASKPASS',
    'GIT_ASKPASS',
    'GPG_AGENT_INFO',
    'GNUPGHOME',
    'KUBECONFIG',
    'DOCKER_AUTH_CONFIG',
    'DOCKER_CONFIG',
    'NETRC',
    'VAULT_TOKEN',
    'KRB5_KEYTAB',
    'CONSUL_HTTP_TOKEN',
    // Databases.
    'DATABASE_URL',
    'PROD_DATABASE_URL',
    'PGPASSWORD',
    'PGPASSFILE',
    'MYSQL_PWD',
    'REDISCLI_AUTH',
    'POSTGRES_PASSWORD',
    'POSTGRES_PASSWORD_FILE',
    'SENTRY_DSN',
    'OTEL_EXPORTER_OTLP_HEADERS',
    // Spellings.
    'SECRET_KEY_BASE',
    'TOKEN',
    'dbPassword',
    'githubToken',
    'apiKey',
  ])('takes %s by its name', (name) => {
    expect(fateOf(name, 'value')).toBe('taken');
  });

  it.each([
    ['PATH', '/usr/bin'],
    ['HOME', '/home/ann'],
    ['LANG', 'en_GB.UTF-8'],
    ['PWD', '/srv'],
    ['OLDPWD', '/'],
    ['PYTHONPATH', '/srv/lib'],
    ['VIRTUAL_ENV', '/srv/venv'],
    ['TOKENIZERS_PARALLELISM', 'false'],
    ['MAX_TOKENS', '4096'],
    ['KEYBOARD', 'de'],
    ['MONKEY', 'see'],
    ['MODEL_EOS_TOKEN', '</s>'],
    ['AWS_PROFILE', 'dev'],
    ['AWS_REGION', 'eu-west-1'],
    ['AWS_DEFAULT_REGION', 'eu-west-1'],
    ['AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/agent'],
    ['AWS_EC2_METADATA_DISABLED', 'true'],
    ['AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:9000'],
    ['AZURE_TENANT_ID', '0f1d2c3b-0000-4000-8000-000000000001'],
    ['AZURE_CLIENT_ID', '0f1d2c3b-0000-4000-8000-000000000001'],
    ['AZURE_OPENAI_ENDPOINT', 'https://acme.openai.azure.com'],
    ['GOOGLE_CLOUD_PROJECT', 'acme'],
    ['CLOUDSDK_CORE_PROJECT', 'acme'],
    ['OPENAI_BASE_URL', 'https://models.acme.test/v1'],
    ['OPENAI_MODEL', 'gpt-5'],
    ['OPENAI_ORG_ID', 'org-7'],
    ['ANTHROPIC_BASE_URL', 'https://models.acme.test'],
    ['ANTHROPIC_MODEL', 'claude-sonnet-4-5-20250929'],
    ['STRIPE_PUBLISHABLE_KEY', 'pk_live_51Habcdefghijklmnop'],
    ['VAULT_ADDR', 'https://vault.acme.test'],
    ['PGHOST', 'db.acme.test'],
    ['PGUSER', 'ann'],
    ['REDIS_URL', 'redis://cache.acme.test:6379/0'],
    ['GIT_SSH_URL', 'ssh://git@git.acme.test/agent.git'],
    ['SPIFFE_ENDPOINT_SOCKET', 'unix:///run/spire/agent.sock'],
    ['SSL_CERT_FILE', '/etc/ssl/cert.pem'],
    ['CERTIFICATE', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'],
    ['HTTPS_PROXY', 'http://proxy.acme.test:3128'],
    ['NO_PROXY', 'localhost,.acme.test'],
    ['GIT_COMMIT', '66b5f9b0d1c2e3f4a5b6c7d8e9f0a1b2c3d4e5f6'],
    ['REQUEST_ID', '01a21db0-18fa-7372-9881-4884da7a960f'],
    ['PROMPT', 'say: the password is changed at noon'],
  ])('passes %s on', (name, value) => {
    expect(fateOf(name, value)).toBe('passed');
  });

  const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJlLW9mLWFubg';
  it.each([
    ['a private key', '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\n-----END PRIVATE KEY-----'],
    ['an RSA key on one line', '-----BEGIN RSA PRIVATE KEY-----\\nMIIEow\\n-----END RSA PRIVATE KEY-----'],
    ['an OpenSSH key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----'],
    ['a JWT', jwt],
    ['an Authorization value', `Bearer ${jwt}`],
    ['Basic credentials', 'Basic YW5uOnBhc3N3b3Jk'],
    ['a key of a model', 'sk-proj-abcdefghijklmnopqrstuvwxyz0123456789'],
    ['a key of Anthropic', 'sk-ant-api03-abcdefghijklmnopqrstuvwxyz'],
    ['a token of Slack', 'xoxb-123456789012-abcdefghijklmnop'],
    ['a token of GitHub', `ghp_${'a1B2'.repeat(9)}`],
    ['a fine-grained token of GitHub', `github_pat_${'a1B2'.repeat(9)}`],
    ['a token of GitLab', 'glpat-abcdefghij0123456789'],
    ['an access key of AWS', 'AKIAIOSFODNN7EXAMPLE'],
    ['a temporary access key of AWS', 'ASIAIOSFODNN7EXAMPLE'],
    ['a key of Stripe', 'sk_live_51Habcdefghijklmnop'],
    ['a key of Google', `AIza${'a1B2-'.repeat(7)}`],
    ['a token of npm', `npm_${'a1B2'.repeat(9)}`],
    ['a token of Hugging Face', `hf_${'a1B2'.repeat(8)}`],
    ['a token of Vault', `hvs.${'a1B2'.repeat(8)}`],
    ['a password for Redis', 'redis://:geheim@cache.acme.test:6379/0'],
    ['a password for PostgreSQL', 'postgres://ann:geheim@db.acme.test/app'],
    ['a password for AMQP', 'amqps://ann:geheim@mq.acme.test:5671/'],
    ['a password in the query', 'jdbc:postgresql://db.acme.test/app?user=ann&password=geheim'],
    ['a connection string', 'Server=db.acme.test;User Id=ann;Password=geheim;'],
    ['a key of a storage account', 'AccountName=acme;AccountKey=YWJjZGVm;EndpointSuffix=core.windows.net'],
    ['JSON with a password', '{"host":"db","password":"geheim"}'],
    ['a token in a URL', 'https://abcdef0123@git.acme.test/agent.git'],
    ['a webhook', 'https://hooks.slack.com/services/T000/B000/abcdef'],
    ['a key at the end of a long text', `${'x '.repeat(60_000)} AKIAIOSFODNN7EXAMPLE`],
  ])('takes %s by its shape, whatever the name', (_what, value) => {
    expect(fateOf('HARMLESS', value)).toBe('taken');
    expect(fateOf('AWS_REGION', value)).toBe('taken');
  });

  it.each([
    ['HTTPS_PROXY', 'http://ann:geheim@proxy.acme.test:3128', 'http://proxy.acme.test:3128'],
    ['http_proxy', 'http://ann:ge@heim@proxy.acme.test:3128/', 'http://proxy.acme.test:3128/'],
    ['ALL_PROXY', 'socks5h://token@proxy.acme.test', 'socks5h://proxy.acme.test'],
    ['all_proxy', 'ann:geheim@proxy.acme.test:3128', 'proxy.acme.test:3128'],
    ['npm_config_https_proxy', 'http://ann:geheim@proxy.acme.test', 'http://proxy.acme.test'],
  ])('passes the proxy of %s on without its user and password', (name, value, left) => {
    expect(fateOf(name, value)).toBe(`passed as ${left}`);
    expect(scrubbed({ [name]: value }, { ...all, keep: [name] })).toMatchObject({
      environment: { [name]: value },
      kept: [name],
    });
  });

  it('silently removes the variables of an outer run, whatever --keep names', () => {
    const names = [...RUN_VARIABLES, 'REMIT_FORWARD_TOOLS', 'REMIT_SVID', 'REMIT_BUNDLE'];
    const outer = Object.fromEntries(names.map((name) => [name, 'x']));
    const nothing = { environment: {}, removed: [], shortened: [], kept: [] };
    expect(scrubbed(outer, { scrub: false, keep: RUN_VARIABLES, take: [] })).toEqual(nothing);
    expect(scrubbed(outer, { ...all, keep: ['*'] })).toEqual(nothing);
  });

  const environment = { GH_TOKEN: 'a', NPM_TOKEN: 'b', OPENAI_API_KEY: 'c', OPENAI_MODEL: 'd', GONE: undefined };
  it.each([
    ['a name', ['GH_TOKEN'], [], ['GH_TOKEN', 'OPENAI_MODEL'], ['GH_TOKEN']],
    ['a pattern', ['OPENAI_*'], [], ['OPENAI_API_KEY', 'OPENAI_MODEL'], ['OPENAI_API_KEY']],
    ['a name in another letter case', ['gh_token'], [], ['OPENAI_MODEL'], []],
    ['a part of a name', ['GH', 'TOKEN'], [], ['OPENAI_MODEL'], []],
    ['all', ['*'], [], ['GH_TOKEN', 'NPM_TOKEN', 'OPENAI_API_KEY', 'OPENAI_MODEL'], expect.any(Array)],
    ['all but what is taken', ['*'], ['openai_*'], ['GH_TOKEN', 'NPM_TOKEN'], ['GH_TOKEN', 'NPM_TOKEN']],
    ['nothing, and takes a value', [], ['OPENAI_MODEL'], [], []],
  ])('passes on %s that is named, and says so', (_what, keep, take, names, kept) => {
    const result = scrubbed(environment, { scrub: true, keep, take });
    expect([Object.keys(result.environment), result.kept]).toEqual([names, kept]);
  });

  it('takes with `off` only what is named', () => {
    expect(scrubbed(environment, { scrub: false, keep: [], take: ['*_TOKEN'] })).toEqual({
      environment: { OPENAI_API_KEY: 'c', OPENAI_MODEL: 'd' },
      removed: ['GH_TOKEN', 'NPM_TOKEN'],
      shortened: [],
      kept: [],
    });
  });

  it('either passes a variable on, unchanged unless it is a proxy, or names it as removed', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string()), (given) => {
        const { environment: passed, removed, shortened } = scrubbed(given, all);
        const names = [...Object.keys(passed), ...removed, ...RUN_VARIABLES.filter((name) => name in given)];
        expect(names.toSorted()).toEqual(Object.keys(given).toSorted());
        for (const [name, value] of Object.entries(passed).filter(([name]) => !shortened.includes(name)))
          expect(value).toBe(given[name]);
      }),
    );
  });
});

describe('nameMatcher', () => {
  it('matches as a regular expression does in which only the star is special', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), maxLength: 6 });
    fc.assert(
      fc.property(letters, pattern, (name, text) => {
        const expected = new RegExp(`^${text.replaceAll('.', '\\.').replaceAll('*', '.*')}$`).test(name);
        expect(nameMatcher([text])(name)).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  it('takes no time for many stars', () => {
    expect(nameMatcher(['*a'.repeat(100)])('a'.repeat(99) + 'b')).toBe(false);
  });
});
