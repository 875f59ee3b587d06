import { describe, expect, it } from '@jest/globals';
import { KEPT_MS, SilentKeys } from '../../../../src/authority/issuer/keys/silent-keys.ts';

const STEP_MS = 30_000;

describe('SilentKeys', () => {
  it('finds a key whose authority has said nothing until its last token has expired, and no other', () => {
    const silent = new SilentKeys();
    let atMs = 0;
    let beat = 0;
    const look = () => {
      beat += 1;
      return silent.after(
        [
          { keyId: 'alive', seen: String(beat) },
          { keyId: 'dead', seen: '1' },
        ],
        atMs,
      );
    };
    for (; atMs < KEPT_MS; atMs += STEP_MS) expect(look()).toEqual([]);
    expect(look()).toEqual([{ keyId: 'dead', seen: '1' }]);
  });

  it('finds none after a pause in which nobody could say anything', () => {
    const silent = new SilentKeys();
    const keys = [{ keyId: 'a', seen: '1' }];
    for (let atMs = 0; atMs < KEPT_MS; atMs += STEP_MS) silent.after(keys, atMs);
    const backMs = KEPT_MS + 3_600_000;
    expect(silent.after(keys, backMs)).toEqual([]);
    expect(silent.after(keys, backMs + STEP_MS)).toEqual([]);
  });
});
