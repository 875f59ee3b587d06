import type { Finding } from '../finding.ts';
import { instant } from '../instant.ts';
import { unmetGates } from './gates.ts';
import { badMetrics } from './measured.ts';
import type { RemitCheck } from './remit-check.ts';
import type { LedgerFolder } from './remit-facts.ts';

/** The ledger is written, whole and has room. */
export const ledger: RemitCheck = {
  title: 'the ledger is written, whole, signed and has room',
  run: ({ host, live, nowMs }) => {
    if (host === null && live === null) return null;
    return [
      ...(live === null ? [] : [...unmetGates(live, 'ledger'), ...badMetrics(live, 'ledger')]),
      ...(host === null ? [] : [...folderFindings(host.ledger), ...unsignedRecords(host.ledger, nowMs)]),
    ];
  },
};

/** A checkpoint is signed each few seconds; a record waits for it no longer than this, also in a folder that is copied. */
const UNSIGNED_MS = 600_000;

/** Records that no checkpoint has covered for 10 minutes: only checkpoints need the key, so others can have added them. */
export const unsignedRecords = ({ folder, unsignedSinceMs }: LedgerFolder, nowMs: number): readonly Finding[] =>
  unsignedSinceMs === undefined || Math.abs(nowMs - unsignedSinceMs) <= UNSIGNED_MS
    ? []
    : [
        {
          code: 'ledger.unsigned',
          where: `folder/${folder}`,
          message: `no signed checkpoint covers its records from ${instant(unsignedSinceMs)} on: anybody who can write the folder can have written them`,
          fix: 'start Remit, which signs them if it wrote them; compare them with `remit ledger verify --anchors`',
        },
      ];

function folderFindings({ folder, found, broken, isVerified }: LedgerFolder): readonly Finding[] {
  const where = `folder/${folder}`;
  if (found === 'missing') {
    return [
      {
        code: 'ledger.missing',
        where,
        message: 'the folder does not exist: nothing was ever recorded there',
        fix: 'start Remit with this configuration, or correct `ledger.folder`',
      },
    ];
  }
  if (found === 'unreadable') {
    return [
      {
        code: 'ledger.missing',
        where,
        message: 'the folder cannot be read by this user',
        fix: 'run this as the user of Remit',
        level: 'info',
      },
    ];
  }
  const findings: Finding[] = [];
  if (found === 'not-writable') {
    findings.push({
      code: 'ledger.not-writable',
      where,
      message: 'it cannot be written: without a record no call is allowed',
      fix: 'mount it writable, and give it to the user of Remit',
    });
  }
  if (broken !== null) {
    findings.push({
      code: 'ledger.broken',
      where,
      message: `its records are not those that were signed: ${broken}`,
      fix: '`remit ledger verify`; keep a copy before anything else',
    });
  }
  if (!isVerified) {
    findings.push({
      code: 'ledger.not-verified',
      where,
      message: 'it is too large to be verified here, or could not be read',
      fix: '`remit ledger verify`',
    });
  }
  return findings;
}
