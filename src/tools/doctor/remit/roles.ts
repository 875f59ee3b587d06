/** Checks of the roles of a Remit: issuer, leases of sidecars, telemetry, versions, and the process itself. */
import { versionGap } from '../../../core/fleet/version-gap.ts';
import { nodeProblem } from '../../../core/config/required-node.ts';
import type { Finding } from '../finding.ts';
import { unmetGates } from './gates.ts';
import { badMetrics } from './measured.ts';
import type { RemitCheck } from './remit-check.ts';
import type { IssuerEndpoint, LiveRemit, RemitFacts } from './remit-facts.ts';

/** The issuer and the keys of tokens. */
export const issuer: RemitCheck = {
  title: 'the issuer answers under its name, and the keys of all issuers are known and fresh',
  run: ({ host, live, nowMs }) => {
    const endpoint = host?.issuer ?? null;
    if (live === null && endpoint === null) return null;
    return [
      ...(live === null ? [] : [...unmetGates(live, 'issuer'), ...badMetrics(live, 'issuer')]),
      ...(endpoint === null ? [] : endpointFindings(endpoint, nowMs)),
    ];
  },
};

/** What is wrong with what answers at the address of the issuer. */
export function endpointFindings(
  { address, failure, name, names, notAfterMs, notBeforeMs }: IssuerEndpoint,
  nowMs: number,
): readonly Finding[] {
  const where = `issuer/${address}`;
  if (failure !== null) {
    const message = `no TLS connection to it: ${failure}`;
    return [
      {
        code: 'issuer.unreachable',
        where,
        message,
        fix: 'start Remit with this configuration; see its log for why it does not listen',
      },
    ];
  }
  const findings: Finding[] = [];
  if (names !== null) {
    const message = `its certificate is for ${names}, not for \`${name}\` of \`issuer.url\`, so clients refuse it`;
    findings.push({
      code: 'issuer.certificate',
      where,
      message,
      fix: 'give the SVID of Remit this DNS name: `-dns` of the registration entry in SPIRE',
    });
  }
  if (notAfterMs !== null && notAfterMs <= nowMs) {
    findings.push({
      code: 'issuer.certificate',
      where,
      message: 'its certificate has expired',
      fix: 'renew the SVID of Remit',
    });
  }
  if (notBeforeMs !== null && notBeforeMs > nowMs) {
    findings.push({
      code: 'issuer.certificate',
      where,
      message: `its certificate is not valid before ${new Date(notBeforeMs).toISOString()}, so clients refuse it`,
      fix: 'set the clock of this machine, or of what issues the SVID of Remit',
    });
  }
  return findings;
}

/** Sidecars and their authority. */
export const lease: RemitCheck = {
  title: 'sidecars follow their authority',
  run: ({ live }) => {
    if (live === null) return null;
    const unmet = unmetGates(live, 'lease');
    // An authority that serves nobody may not answer `/fleet`, but it says so as a gate.
    if (unmet.length === 0 && !isOfFleet(live)) return null;
    return [...unmet, ...badMetrics(live, 'lease'), ...lostSidecars(live)];
  },
};

const isOfFleet = ({ fleet, samples }: LiveRemit): boolean => fleet !== null || samples.has('remit_sidecar_following');

/** Sidecars that no longer follow; each may decide until its lease is over. */
const lostSidecars = ({ fleet }: LiveRemit): readonly Finding[] =>
  (fleet?.sidecars ?? [])
    .filter(({ connected }) => !connected)
    .map(({ peer, instance, last_error: error, lease_left_ms: leftMs }) => ({
      code: 'lease.sidecar-gone',
      where: `sidecar/${peer}/${instance}`,
      message: `it does not follow any more; its lease ends in ${leftMs} ms${error === '' ? '' : `; its last error: ${error}`}`,
      fix: 'look at the log of that sidecar; a sidecar that was stopped is listed until its lease is over',
    }));

/** Spans and log lines arrive. */
export const telemetry: RemitCheck = {
  title: 'spans are taken, and no line of the decision log was dropped',
  run: ({ live }) => (live === null ? null : badMetrics(live, 'telemetry')),
};

/** Versions work together. */
export const versions: RemitCheck = {
  title: 'the versions of Remit and of Node work together',
  run: ({ live, version }) => {
    if (live === null) return null;
    const info = live.samples.get('remit_build_info')?.[0]?.labels;
    return [...ownVersions(info, version), ...sidecarVersions(live)];
  },
};

function ownVersions(info: ReadonlyMap<string, string> | undefined, version: string): readonly Finding[] {
  const [running, node] = [info?.get('version'), info?.get('node')];
  const problem = node === undefined ? null : nodeProblem(node.replace(/^v/, ''));
  const findings: Finding[] = [];
  if (problem !== null)
    findings.push({ code: 'version.node', where: 'node', message: problem, fix: 'run Remit with a newer Node' });
  if (running !== undefined && running !== version) {
    findings.push({
      code: 'version.doctor',
      where: 'remit',
      message: `Remit ${running} runs, and ${version} examines it`,
      fix: 'run the doctor of the same version, or restart Remit after the upgrade',
    });
  }
  return findings;
}

const sidecarVersions = ({ fleet }: LiveRemit): readonly Finding[] =>
  (fleet?.sidecars ?? []).flatMap(({ peer, instance, version }) => {
    const gap = versionGap(fleet?.version ?? '', version);
    return gap === null
      ? []
      : [
          {
            code: 'version.skew' as const,
            where: `sidecar/${peer}/${instance}`,
            message: gap,
            fix: 'upgrade step by step: deploy/guide/operate/upgrade.md',
          },
        ];
  });

/** The process has room and time. */
export const platform: RemitCheck = {
  title: 'the process has memory and time',
  run: (facts) => {
    const { live } = facts;
    return live === null ? null : [...unmetGates(live, 'platform'), ...badMetrics(live, 'platform'), ...memory(facts)];
  },
};

const MIB = 1_048_576;
/** Part of the limit above which the kernel is likely to end the process. */
const MEMORY_SHARE = 0.85;

function memory({ host, live }: RemitFacts): readonly Finding[] {
  const limit = host?.memoryLimitBytes ?? null;
  const used = live?.samples.get('process_resident_memory_bytes')?.[0]?.value;
  if (limit === null || used === undefined || used <= limit * MEMORY_SHARE) return [];
  const message = `it uses ${Math.round(used / MIB)} of ${Math.round(limit / MIB)} MiB: the kernel ends it at the limit`;
  return [
    {
      code: 'platform.memory',
      where: 'memory',
      message,
      fix: 'raise the memory limit: deploy/guide/operate/sizing.md',
    },
  ];
}
