import { SVID_REFUSALS, type SvidRefusalCause } from '../../../core/identity/svid.ts';
import type { Finding } from '../finding.ts';
import { instant } from '../instant.ts';
import { badMetrics } from './measured.ts';
import { unmetGates } from './gates.ts';
import type { RemitCheck } from './remit-check.ts';
import type { LiveRemit, RemitFacts, RemitHost } from './remit-facts.ts';

/** Remit has a current SVID of an accepted trust domain, and the certificates of callers. */
export const identity: RemitCheck = {
  title: 'Remit has a current identity, the certificates of callers and the right time',
  run: ({ host, live, nowMs }) => {
    if (host === null && live === null) return null;
    return [
      ...(live === null
        ? []
        : [...unmetGates(live, 'identity'), ...expiry(live, nowMs), ...refused(live), ...badMetrics(live, 'identity')]),
      ...(host === null ? [] : [...workloadApi(host), ...svidFile(host, nowMs)]),
    ];
  },
};

const HOUR_MS = 3_600_000;

/** An SVID should have been renewed when a quarter of its lifetime is left. */
function expiry({ samples }: LiveRemit, nowMs: RemitFacts['nowMs']): readonly Finding[] {
  const notAfterMs = (samples.get('remit_svid_expiry_timestamp_seconds')?.[0]?.value ?? Number.NaN) * 1_000;
  const lifetimeMs = (samples.get('remit_svid_lifetime_seconds')?.[0]?.value ?? Number.NaN) * 1_000;
  const leftMs = notAfterMs - nowMs;
  // An SVID that has expired is a finding whatever its lifetime was.
  if (Number.isNaN(leftMs) || (leftMs > 0 && !(leftMs < lifetimeMs / 4))) return [];
  const fix = 'look at the agent of SPIRE, or at what renews the files of `svid`';
  const where = 'svid';
  return leftMs <= 0
    ? [{ code: 'identity.expired', where, message: `the SVID of Remit expired at ${instant(notAfterMs)}`, fix }]
    : [
        {
          code: 'identity.not-renewed',
          where,
          message: `the SVID of Remit expires in ${hours(leftMs)} and was not renewed`,
          fix,
        },
      ];
}

/** What is wrong with an SVID that Remit does not accept, and what to do. */
const refusals: Readonly<Record<SvidRefusalCause, readonly [what: string, fix: string]>> = {
  expired: ['has expired', 'look at what renews it, and at the clocks of both machines'],
  'not-yet-valid': [
    'is not valid yet: it is taken over once it is',
    'set the clock of this machine, or of what issues it',
  ],
  'wrong-key': ['has the key of another certificate', 'write certificate and key of one SVID'],
  untrusted: [
    'is not verified by its own bundle',
    'write the bundle of its trust domain, or look at which CA issues it',
  ],
  'other-id': ['is of another SPIFFE ID', 'correct the registration entry, or restart Remit to change its identity'],
  invalid: ['cannot be used', 'the event `svid-refused` in the log says why'],
};

/** A renewed SVID that Remit did not accept, so the earlier SVID is still in use. */
function refused({ samples }: LiveRemit): readonly Finding[] {
  const given = (samples.get('remit_svid_refused') ?? []).filter(({ value }) => value === 1);
  return given.map(({ labels }) => {
    const cause = labels.get('cause') ?? '';
    // A cause of a later version of Remit is a refusal too.
    const [what, fix] = refusals[SVID_REFUSALS.find((name) => name === cause) ?? 'invalid'];
    return {
      code: 'identity.refused',
      where: `svid/${cause}`,
      message: `the SVID that Remit was given last ${what}; an earlier SVID serves until it expires`,
      fix,
    };
  });
}

/** The same for the certificate file, which Remit may not have read yet. */
function svidFile({ svidFile: file }: RemitHost, nowMs: number): readonly Finding[] {
  if (file === null) return [];
  const where = `file/${file.path}`;
  if (file.notAfterMs === null) {
    return [
      {
        code: 'identity.unreadable',
        where,
        message: 'it holds no certificate that can be read',
        fix: 'write the certificate of `svid` there as PEM',
      },
    ];
  }
  return file.notAfterMs > nowMs
    ? []
    : [
        {
          code: 'identity.expired',
          where,
          message: `its certificate expired at ${instant(file.notAfterMs)}`,
          fix: 'renew it: Remit reads it again by itself',
        },
      ];
}

function workloadApi({ workloadApi: api }: RemitHost): readonly Finding[] {
  if (api === null || api.found.kind === 'socket') return [];
  const other = api.others[0];
  const elsewhere = other === undefined ? '' : `; there is a socket at \`${other}\``;
  return [
    {
      code: 'identity.no-socket',
      where: `socket/${api.path}`,
      message: `there is no socket of the Workload API${elsewhere}`,
      fix:
        other === undefined
          ? 'start the agent of SPIRE on this machine, or mount its socket'
          : `set \`svid.workloadApi\` to \`unix://${other}\``,
    },
  ];
}

const hours = (ms: number): string =>
  ms < HOUR_MS ? `${Math.ceil(ms / 60_000)} minutes` : `${Math.floor(ms / HOUR_MS)} hours`;
