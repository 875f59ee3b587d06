import { describe, expect, it } from '@jest/globals';
import { audienceFrom } from '../../../../src/authority/issuer/token/resource.ts';

const catalogOf = (...audiences: readonly string[]) => ({
  serversByAudience: new Map(
    audiences.map((audience) => [
      audience,
      {
        id: 'one',
        hosts: new Set<string>(),
        paths: [],
        audience,
        externalUrl: audience,
        transactionToken: false,
        exactPaths: false,
        attributes: new Map(),
      },
    ]),
  ),
});
const catalog = catalogOf(
  'https://a.test',
  'https://b.test:8443',
  'https://c.test/mcp',
  'https://d.test',
  'https://d.test:8443',
  'https://e.test:1',
  'https://e.test:2',
);

/** Issue 37, point 19. */
describe('the audience of a resource', () => {
  it.each([
    ['https://a.test', 'https://a.test'],
    ['https://a.test/', 'https://a.test'],
    ['https://a.test:8443', 'https://a.test'],
    ['https://a.test:8443/', 'https://a.test'],
    ['https://b.test', 'https://b.test:8443'],
    ['https://b.test:9443/', 'https://b.test:8443'],
    ['https://c.test:8443/mcp', 'https://c.test/mcp'],
    ['https://d.test:8443/', 'https://d.test:8443'],
    ['https://d.test', 'https://d.test'],
  ])('of %s is %s, whatever its port', (resource, audience) => {
    expect(audienceFrom(resource, catalog)).toBe(audience);
  });

  it.each([
    'https://d.test:9443',
    'https://e.test',
    'https://a.test:8443/mcp',
    'https://a.test:x',
    'https://a.test:123456',
    'https://a.test:8443@evil.test',
    'https://evil.test:8443',
    'https://c.test:8443/mcp?x',
    'http://a.test:8443',
  ])('of %s is none that the catalog has', (resource) => {
    expect(audienceFrom(resource, catalog)).toBe(resource);
  });
});
