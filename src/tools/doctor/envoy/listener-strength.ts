/** Checks of how strict a listener that asks Remit is: identity in headers, paths, and records. */
import { at, isTrueAt, listAt, textAt, typeOf } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { HttpManager } from './http-manager.ts';
import { logsSecret } from './fields/manager-fields.ts';
import { guardedOf, remitClustersOf } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import type { EnvoyFacts } from './envoy-facts.ts';

type Guarded = Asking['manager'];

const ofGuarded = (facts: EnvoyFacts, find: (manager: Guarded) => readonly Finding[]): readonly Finding[] | null => {
  const guarded = guardedOf(facts);
  return guarded.length === 0 ? null : guarded.flatMap(find);
};

/** No client can set its identity in a header. */
export const ownXfcc: EnvoyCheck = {
  title: 'no client can bring an x-forwarded-client-cert header of its own',
  run: (facts) => ofGuarded(facts, xfcc),
};

function xfcc({ fields, where }: HttpManager): readonly Finding[] {
  const details = textAt(fields, 'forward_client_cert_details');
  const fix = 'set `forward_client_cert_details: SANITIZE`, or `SANITIZE_SET` for `identity: xfcc`';
  if (details === 'FORWARD_ONLY' || details === 'ALWAYS_FORWARD_ONLY')
    return [
      {
        code: 'envoy.xfcc-forwarded',
        where,
        message: `\`${details}\` passes the header that the client sent: with \`identity: xfcc\` anybody is whom he claims to be`,
        fix,
      },
    ];
  if (details === 'APPEND_FORWARD')
    return [
      {
        code: 'envoy.xfcc-appended',
        where,
        message:
          'the header of the client is kept, and Envoy adds its own behind: Remit reads the last one, an upstream may read the first',
        fix,
      },
    ];
  return [];
}

/** Envoy and the upstream read a path in the same way. */
export const oneReading: EnvoyCheck = {
  title: 'a path has one reading, here and at the upstream',
  run: (facts) => ofGuarded(facts, paths),
};

const REFUSING: ReadonlySet<string> = new Set(['REJECT_REQUEST', 'UNESCAPE_AND_REDIRECT']);

function paths({ fields, where }: HttpManager): readonly Finding[] {
  const dots: Finding = {
    code: 'envoy.path-not-normalized',
    where,
    message: 'Envoy routes `/a/../b` as it is written; Remit refuses such calls, and a filter before it may not',
    fix: 'set `normalize_path: true`',
  };
  const slashes: Finding = {
    code: 'envoy.slashes-kept',
    where,
    message: 'Envoy keeps `//` or `%2F` in paths; Remit refuses such calls',
    fix: 'set `merge_slashes: true` and `path_with_escaped_slashes_action: REJECT_REQUEST`',
  };
  const isStrict =
    isTrueAt(fields, 'merge_slashes') && REFUSING.has(textAt(fields, 'path_with_escaped_slashes_action'));
  return [...(isTrueAt(fields, 'normalize_path') ? [] : [dots]), ...(isStrict ? [] : [slashes])];
}

/** Records say what happened. */
export const seenCalls: EnvoyCheck = {
  title: 'Remit learns who called and how calls end, and no log has a token',
  run: (facts) =>
    ofGuarded(facts, (manager) => [...outcomes(manager, facts), ...claimedAddress(manager), ...logged(manager)]),
};

const HTTP_GRPC = 'HttpGrpcAccessLogConfig';

/** A log that goes to another service, or that has only some calls, does not report the others to Remit. */
function outcomes({ fields, where }: HttpManager, facts: EnvoyFacts): readonly Finding[] {
  const logs = listAt(fields, 'access_log').filter((log) => typeOf(at(log, 'typed_config')) === HTTP_GRPC);
  const own = logs.filter((log) => leadsToRemit(log, facts));
  const fix = 'add `envoy.access_loggers.http_grpc` to the cluster of Remit: deploy/guide/watch/outcomes.md';
  if (own.length === 0)
    return [
      {
        code: 'envoy.no-outcomes',
        where,
        message: 'Remit gets no access log: records have no outcomes, and calls that bypass Remit are not noticed',
        fix,
      },
    ];
  // Logs may be split by the Remit process whose ledger decided. They are complete if calls without a decision are logged too.
  const isWhole = own.some((log) => at(log, 'filter') === undefined || takesUndecided(at(log, 'filter')));
  return isWhole
    ? []
    : [
        {
          code: 'envoy.false-records',
          where,
          message:
            'the access log to Remit has a `filter`, so some calls, and those that bypass Remit, are not noticed',
          fix: 'remove the filter, or let it take calls without a decision as deploy/envoy/envoy-processes.yaml does',
        },
      ];
}

const takesUndecided = (filter: unknown): boolean => isTrueAt(filter, 'metadata_filter', 'match_if_key_not_found');

/** Whether a log goes to Remit: to its cluster, or to a cluster with the same endpoint. */
function leadsToRemit(log: unknown, facts: EnvoyFacts): boolean {
  const name = textAt(log, 'typed_config', 'common_config', 'grpc_service', 'envoy_grpc', 'cluster_name');
  const names = remitClustersOf(facts);
  const endpoints = new Set([...names].flatMap((one) => facts.config.clusters.get(one)?.endpoints ?? []));
  return names.has(name) || (facts.config.clusters.get(name)?.endpoints ?? []).some((one) => endpoints.has(one));
}

const claimedAddress = ({ fields, where }: HttpManager): readonly Finding[] =>
  isTrueAt(fields, 'use_remote_address')
    ? []
    : [
        {
          code: 'envoy.false-records',
          where,
          level: 'info',
          message: 'the address in records is what `x-forwarded-for` of the client says',
          fix: 'set `use_remote_address: true`, if the host lets you',
        },
      ];

const logged = ({ fields, where }: HttpManager): readonly Finding[] =>
  logsSecret(fields)
    ? [
        {
          code: 'envoy.leak',
          where,
          level: 'warning',
          message: 'an access log has the token of each call: who reads it can call as the agent until the token ends',
          fix: 'remove `authorization`, `dpop` and `cookie` from the format of the log',
        },
      ]
    : [];
