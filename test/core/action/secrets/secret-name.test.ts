import { describe, expect, it } from '@jest/globals';
import { hintAbove, hintOf, hintOfName, nestedNames } from '../../../../src/core/action/secrets/secret-name.ts';
import type { SecretHint } from '../../../../src/core/action/secrets/secret-name.ts';

describe('hintOf', () => {
  it.each<[name: string, above: SecretHint, hint: SecretHint]>([
    ['password', 'none', 'secret'],
    ['Client-Secret', 'none', 'secret'],
    ['user[password]', 'none', 'secret'],
    ['password[value]', 'none', 'secret'],
    ['password[]', 'none', 'secret'],
    ['inputs/login/password', 'none', 'secret'],
    ['token.value', 'none', 'secret-if-random'],
    ['token[password]', 'none', 'secret'],
    ['value', 'secret-if-random', 'secret-if-random'],
    ['password', 'secret-if-random', 'secret'],
    ['value', 'secret', 'secret'],
    ['password_hint', 'none', 'none'],
    ['', 'none', 'none'],
  ])('of %s below a name that says `%s` is `%s`', (name, above, hint) => {
    expect(hintOf(name, above)).toBe(hint);
  });
});

describe('hintAbove', () => {
  it.each<[name: string, hint: SecretHint]>([
    ['password', 'none'],
    ['password[]', 'none'],
    ['user[password]', 'none'],
    ['password[value]', 'secret'],
    ['token.a.b', 'secret-if-random'],
  ])('of %s is `%s`', (name, hint) => {
    expect(hintAbove(name)).toBe(hint);
  });

  it('knows what the names above all of them say', () => {
    expect(hintAbove('value', 'secret')).toBe('secret');
  });
});

describe('hintOfName', () => {
  it('judges one name, as it is written', () => {
    expect(['api_key', 'key', 'password[value]'].map(hintOfName)).toEqual(['secret', 'secret-if-random', 'none']);
  });
});

describe('nestedNames', () => {
  it('splits what nests, the outermost first', () => {
    expect(nestedNames('user[login].password')).toEqual(['user', 'login', 'password']);
  });
});
