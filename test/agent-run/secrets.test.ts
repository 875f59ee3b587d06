import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { RUN_VARIABLES, scrubbed } from '../../src/agent-run/secrets.ts';

const all = { scrub: true, keep: new Set<string>() };

describe('scrubbed', () => {
  it.each([
    ['AWS_ACCESS_KEY_ID', true],
    ['aws_session_token', true],
    ['GOOGLE_APPLICATION_CREDENTIALS', true],
    ['AZURE_CLIENT_SECRET', true],
    ['GH_TOKEN', true],
    ['ANTHROPIC_API_KEY', true],
    ['MISTRAL_API_KEY', true],
    ['NPM_TOKEN', true],
    ['DATABASE_URL', true],
    ['PROD_DATABASE_URL', true],
    ['POSTGRES_PASSWORD', true],
    ['SLACK_BOT_TOKEN', true],
    ['KUBECONFIG', true],
    ['PATH', false],
    ['HOME', false],
    ['TOKENIZERS_PARALLELISM', false],
    ['KEYBOARD', false],
    ['SPIFFE_ENDPOINT_SOCKET', false],
    ['HTTPS_PROXY', false],
    ['SSL_CERT_FILE', false],
  ])('treats %s as a secret: %s', (name, isSecret) => {
    const { environment, removed } = scrubbed({ [name]: 'value' }, all);
    expect([Object.keys(environment), removed]).toEqual(isSecret ? [[], [name]] : [[name], []]);
  });

  it('silently removes the variables of an outer run, whatever --keep names', () => {
    const outer = Object.fromEntries(RUN_VARIABLES.map((name) => [name, 'x']));
    expect(scrubbed(outer, { scrub: false, keep: new Set(RUN_VARIABLES) })).toEqual({ environment: {}, removed: [] });
  });

  it('passes on named variables, and all of them with `off`', () => {
    const environment = { GH_TOKEN: 'a', NPM_TOKEN: 'b', GONE: undefined };
    expect(scrubbed(environment, { scrub: true, keep: new Set(['GH_TOKEN']) })).toEqual({
      environment: { GH_TOKEN: 'a' },
      removed: ['NPM_TOKEN'],
    });
    expect(scrubbed(environment, { scrub: false, keep: new Set() }).environment).toEqual({
      GH_TOKEN: 'a',
      NPM_TOKEN: 'b',
    });
  });

  it('either passes a variable on unchanged or names it as removed', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), fc.string()), (environment) => {
        const { environment: kept, removed } = scrubbed(environment, all);
        const names = [...Object.keys(kept), ...removed, ...RUN_VARIABLES.filter((name) => name in environment)];
        expect(names.toSorted()).toEqual(Object.keys(environment).toSorted());
        for (const [name, value] of Object.entries(kept)) expect(value).toBe(environment[name]);
      }),
    );
  });
});
