import { expect, it } from '@jest/globals';
import { shownToken } from '../../../src/agent/forward/shown-token.ts';
import type { ProvingRequest } from '../../../src/agent/task/proof-key.ts';
import { externalUrlOf } from '../../../src/core/action/catalog/server-places.ts';

const proofKey = {
  proofFor: ({ method, token, url }: ProvingRequest) => `${method} ${url} ${token}`,
};
const shown = (resource: string, path: string) =>
  shownToken('t', { proofKey, target: { resource } as never }, { method: 'GET', path }).dpop;

// The URL of the proof is that by which Remit knows the server: its audience without the end that is one of its paths.
it.each<[string, readonly string[], string]>([
  ['https://tools.acme.test', [], '/items/7'],
  ['https://tools.acme.test/', [], '/items/7'],
  ['https://tools.acme.test/mcp', ['/mcp'], '/mcp'],
  ['https://tools.acme.test/mcp', ['/mcp'], '/mcp/x'],
  ['https://gw.acme.test/agents', [], '/items'],
  ['https://gw.acme.test/agents/crm', ['/crm'], '/crm/7'],
  ['https://gw.acme.test/crm', ['/crm'], '/crm7'],
])('`shownToken` proves the URL that Remit expects: %s with the paths %j, called at %s', (resource, paths, path) => {
  const places = { audience: { value: resource }, paths: paths.map((text) => ({ value: { text } })) };
  // `/crm7` is no call of the server at `/crm`: Remit has no URL for it.
  const base = path === '/crm7' ? resource : externalUrlOf(places as never);
  expect(shown(resource, path)).toBe(`GET ${base.replace(/\/$/, '')}${path} t`);
});

it('`shownToken` shows a bearer if tokens are bound to the certificate', () => {
  const at = { method: 'GET', path: '/' };
  expect(shownToken('t', { proofKey: null, target: {} as never }, at)).toEqual({ authorization: 'Bearer t' });
});
