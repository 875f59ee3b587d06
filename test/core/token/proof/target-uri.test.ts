import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { targetUriFrom, targetUriOf } from '../../../../src/core/token/proof/target-uri.ts';
import { anyCharacter } from '../../../builders/any-character.ts';

describe('targetUriFrom', () => {
  it.each([
    ['as it stands', 'https://a.test/v1/b', 'https://a.test/v1/b'],
    ['without query', 'https://a.test/b?c=d/e', 'https://a.test/b'],
    ['without fragment', 'https://a.test/b#c?d', 'https://a.test/b'],
    ['scheme and host in lower case', 'HTTPS://A.Test/B', 'https://a.test/B'],
    ['without the default port of https', 'https://a.test:443/b', 'https://a.test/b'],
    ['without the default port of http', 'http://a.test:80/b', 'http://a.test/b'],
    ['without an empty port', 'https://a.test:/b', 'https://a.test/b'],
    ['with another port', 'https://a.test:8443/b', 'https://a.test:8443/b'],
    ['with the default port of the other scheme', 'https://a.test:80/b', 'https://a.test:80/b'],
    ['a port without leading zeros', 'https://a.test:00443/b', 'https://a.test/b'],
    ['a slash for no path', 'https://a.test', 'https://a.test/'],
    ['a slash for no path before a query', 'https://a.test?b', 'https://a.test/'],
    ['encodings in upper case', 'https://a.test/%c3%a9', 'https://a.test/%C3%A9'],
    ['unreserved characters decoded', 'https://a.test/%7Eb%2d%5F%2Ec%41', 'https://a.test/~b-_.cA'],
    ['an encoded slash as it is', 'https://a.test/b%2Fc', 'https://a.test/b%2Fc'],
    ['an encoded percent once', 'https://a.test/%2541', 'https://a.test/%2541'],
    ['without dot segments', 'https://a.test/b/./c/../d', 'https://a.test/b/d'],
    ['without encoded dot segments', 'https://a.test/b/%2e%2E/d', 'https://a.test/d'],
    ['without a dot segment at the end', 'https://a.test/b/c/..', 'https://a.test/b/'],
    ['without a dot at the end', 'https://a.test/b/.', 'https://a.test/b/'],
    ['never above the root', 'https://a.test/../../b', 'https://a.test/b'],
    ['empty segments kept', 'https://a.test//b//', 'https://a.test//b//'],
    ['an address of IPv6', 'https://[2001:DB8::1]:443/b', 'https://[2001:db8::1]/b'],
    ['characters that clients leave plain', "https://a.test/b|c[d]'e", "https://a.test/b|c[d]'e"],
  ])('gives %s', (_name, text, expected) => {
    expect(targetUriFrom(text)).toBe(expected);
  });

  const form = 'must be an absolute `http` or `https` URI';
  it.each([
    ['nothing', '', form],
    ['a path', '/v1', form],
    ['no scheme', '//a.test/b', form],
    ['another scheme', 'ftp://a.test/b', form],
    ['no host', 'https:///b', form],
    ['user information', 'https://a.test@evil.test/b', form],
    ['user information with a password', 'https://a:b@evil.test/b', form],
    ['a backslash', 'https://a.test\\@evil.test/', form],
    ['a backslash in the path', 'https://a.test/b\\..\\c', form],
    ['a port that is none', 'https://a.test:port/b', form],
    ['port 0', 'https://a.test:0/b', form],
    ['a port too large', 'https://a.test:65536/b', form],
    ['a bad encoding', 'https://a.test/%2', form],
    ['an encoding of no hex', 'https://a.test/%zz', form],
    ['an encoded host', 'https://a%2etest/b', form],
    ['a space', 'https://a.test/b c', form],
    ['a space before', ' https://a.test/b', form],
    ['a line break', 'https://a.test/b\n', form],
    ['a letter that is not ASCII', 'https://a.test/é', form],
    ['two', 'https://a.test/, https://b.test/'.replace(' ', '\t'), form],
    ['a huge one', `https://a.test/${'b'.repeat(8192)}`, 'is longer than 8192 bytes'],
  ])('refuses %s', (_name, text, problem) => {
    expect(targetUriFrom(text)).toEqual({ problem });
  });

  it('is idempotent, for any path', () => {
    const segment = fc.stringMatching(/^(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2}){0,8}$/);
    fc.assert(
      fc.property(fc.array(fc.oneof(segment, fc.constantFrom('.', '..', '%2e', '')), { maxLength: 8 }), (segments) => {
        const once = targetUriFrom(`https://a.test/${segments.join('/')}`);
        return !isProblem(once) && targetUriFrom(once) === once && !/\/\.{1,2}(?:\/|$)/.test(once);
      }),
    );
  });

  it('agrees with the URL standard if that is unambiguous', () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_~!$&'()*+,;=:@-]{0,8}$/);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(segment, fc.constantFrom('.', '..')), { maxLength: 8 }),
        fc.webAuthority(),
        (s, a) => {
          const url = `https://${a.replace(/^.*@/, '')}/${s.join('/')}`;
          const read = targetUriFrom(url);
          return isProblem(read) || read === new URL(url).href;
        },
      ),
    );
  });

  it('returns a result for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: anyCharacter }), fc.webUrl()), (text) => {
        const read = targetUriFrom(text);
        return isProblem(read) || /^https?:\/\/[^/?#@]+\/[^?#]*$/.test(read);
      }),
    );
  });
});

describe('targetUriOf', () => {
  it.each([
    ['https://a.test', '/v1/b', 'https://a.test/v1/b'],
    ['https://a.test/', '/v1/b', 'https://a.test/v1/b'],
    ['https://a.test:8443/agents', '/', 'https://a.test:8443/agents/'],
    ['https://a.test', '//evil.test/b', 'https://a.test//evil.test/b'],
  ])('puts %s before %s', (externalUrl, path, expected) => {
    expect(targetUriOf(externalUrl, path)).toBe(expected);
  });
});
