import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerVerdict } from '../../../src/tools/doctor/collect/ledger-verdict.ts';
import { unsignedRecords } from '../../../src/tools/doctor/remit/ledger.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { diskLedger, segmentsOf, tamper } from '../../cli/ledgers.ts';

const folder = testFolders();

const GIB = 1_073_741_824;
let whole = '';
beforeAll(() => {
  whole = dirname(diskLedger(folder(), 6).folder);
});

/** A copy of a signed ledger, with its key. */
interface Copy {
  readonly at: string;
  readonly key: string;
}

function copied(): Copy {
  const home = join(folder(), 'machine');
  cpSync(whole, home, { recursive: true });
  return { at: join(home, 'ledger'), key: join(home, 'ledger-key.pem') };
}

const pemOf = (kind: 'rsa' | 'ed25519'): string => {
  const { privateKey } =
    kind === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: 2_048 }) : generateKeyPairSync('ed25519');
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
};
const writePrivate = (path: string, text: string): void => {
  rmSync(path);
  writeFileSync(path, text, { mode: 0o600 });
};
const cutRecord = ({ at }: Copy): void => {
  expect(tamper(segmentsOf(at)[0] ?? '', 'DELETE FROM records WHERE seq = ?', 1)).toBe(1);
};

const NOW = Date.UTC(2026, 0, 15, 12);

describe('the check of the ledger', () => {
  it.each<[what: string, unsignedSinceMs: number, codes: readonly string[]]>([
    ['a minute', NOW - 60_000, []],
    ['ten minutes', NOW - 600_000, []],
    ['longer', NOW - 600_001, ['ledger.unsigned at folder/l']],
    ['a time to come', NOW + 600_001, ['ledger.unsigned at folder/l']],
    ['no instant', Number.NaN, ['ledger.unsigned at folder/l']],
    ['an instant that no date has', 1e300, ['ledger.unsigned at folder/l']],
  ])('finds records that no checkpoint covers since %s', (_what, unsignedSinceMs, codes) => {
    const found = { folder: 'l', found: 'writable', broken: null, isVerified: true, unsignedSinceMs } as const;
    const findings = unsignedRecords(found, NOW);
    expect(findings.map(({ code, where }) => `${code} at ${where}`)).toEqual(codes);
  });
});

describe('ledgerVerdict', () => {
  it('takes a ledger that is as it was signed', () => {
    const { at, key } = copied();
    expect(ledgerVerdict(at, key)).toEqual({ broken: null, isVerified: true });
  });

  it.each<[what: string, tampering: (ledger: Copy) => void]>([
    ['a record that was deleted', cutRecord],
    [
      'a record that was changed',
      ({ at }) => void tamper(segmentsOf(at)[0] ?? '', 'UPDATE records SET bytes = zeroblob(9) WHERE seq = 1'),
    ],
    ['a segment that was deleted', ({ at }) => rmSync(segmentsOf(at)[0] ?? '')],
    ['a segment that was cut', ({ at }) => truncateSync(segmentsOf(at)[0] ?? '', 100)],
    ['a segment that is a text', ({ at }) => writeFileSync(segmentsOf(at)[0] ?? '', 'x')],
    [
      'a segment that is a pipe',
      ({ at }) => {
        const [path = ''] = segmentsOf(at);
        rmSync(path);
        execFileSync('mkfifo', [path]);
      },
    ],
    [
      'a segment that is a folder',
      ({ at }) => {
        const [path = ''] = segmentsOf(at);
        rmSync(path);
        mkdirSync(path);
      },
    ],
    [
      'all segments deleted',
      ({ at }) => {
        for (const path of segmentsOf(at)) rmSync(path);
      },
    ],
    ['the key of another', ({ key }) => writePrivate(key, pemOf('ed25519'))],
    ['a key that signs no ledger', ({ key }) => writePrivate(key, pemOf('rsa'))],
    ['a key file without a key', ({ key }) => writePrivate(key, 'x')],
    [
      'a deleted record beside a long file with holes',
      (ledger) => {
        cutRecord(ledger);
        writeFileSync(join(ledger.at, 'x'), '');
        truncateSync(join(ledger.at, 'x'), GIB);
      },
    ],
    [
      'a deleted record beside a dangling link',
      (ledger) => {
        cutRecord(ledger);
        symlinkSync(join(ledger.at, 'nowhere'), join(ledger.at, 'x'));
      },
    ],
    [
      'a deleted record beside links that are cycles',
      (ledger) => {
        cutRecord(ledger);
        for (const name of ['a', 'b', 'c']) symlinkSync('.', join(ledger.at, name));
      },
    ],
    [
      'a deleted record beside a link to itself',
      (ledger) => {
        cutRecord(ledger);
        symlinkSync('x', join(ledger.at, 'x'));
      },
    ],
  ])('finds %s', (_what, tampering) => {
    const ledger = copied();
    tampering(ledger);
    expect(ledgerVerdict(ledger.at, ledger.key)).toEqual({ broken: expect.any(String), isVerified: true });
  });

  it.each<[what: string, change: (ledger: Copy) => void]>([
    ['has no key here', ({ key }) => rmSync(key)],
    ['is not here', ({ at }) => rmSync(at, { recursive: true })],
  ])('says that a ledger was not verified if it %s', (_what, change) => {
    const ledger = copied();
    change(ledger);
    expect(ledgerVerdict(ledger.at, ledger.key)).toEqual({ broken: null, isVerified: false });
  });

  it('says since when no checkpoint covers the records, which anybody can have written', () => {
    const forged = diskLedger(folder(), 2, { isClosed: false });
    const { at, key } = copied();
    rmSync(at, { recursive: true });
    cpSync(forged.folder, at, { recursive: true });
    forged.log.close();
    expect(ledgerVerdict(at, key)).toEqual({ broken: null, isVerified: true, unsignedSinceMs: expect.any(Number) });
  });

  it('verifies no ledger that is too large', () => {
    const { at, key } = copied();
    expect(ledgerVerdict(at, key, 10_000)).toEqual({ broken: null, isVerified: false });
    expect(ledgerVerdict(at, key, 10_000_000).isVerified).toBe(true);
  });
});
