import { at, isTrueAt, listAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { FilterChain } from './envoy-config.ts';
import type { HttpManager } from './http-manager.ts';
import { askingsOf } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import type { EnvoyFacts } from './envoy-facts.ts';

type Guarded = Asking['manager'];

/** Each connection manager that asks Remit, once. */
const guardedOf = (facts: EnvoyFacts): readonly Guarded[] => [
  ...new Map(askingsOf(facts).map(({ manager }) => [manager.where, manager])).values(),
];

const ofGuarded = (facts: EnvoyFacts, find: (manager: Guarded) => readonly Finding[]): readonly Finding[] | null => {
  const guarded = guardedOf(facts);
  return guarded.length === 0 ? null : guarded.flatMap(find);
};

/** Callers show a certificate that Envoy verifies. */
export const verifiedCaller: EnvoyCheck = {
  title: 'callers must show a certificate, and Envoy verifies it',
  run: (facts) => ofGuarded(facts, ({ chain }) => certificates(chain)),
};

function certificates({ hasOtherTransport, tls, where }: FilterChain): readonly Finding[] {
  if (hasOtherTransport) return [];
  if (tls === null)
    return [
      {
        code: 'envoy.plaintext',
        where,
        message: 'it accepts calls without TLS, so Remit cannot tell who calls',
        fix: 'give it a `transport_socket` with TLS that requires a client certificate; in Istio `PeerAuthentication` STRICT',
      },
    ];
  const found: Finding[] = [];
  if (!isTrueAt(tls, 'require_client_certificate'))
    found.push({
      code: 'envoy.client-certificate-optional',
      where,
      message: 'it accepts callers without a certificate, so Remit cannot tell who calls',
      fix: 'set `require_client_certificate: true`',
    });
  if (!isVerifying(at(tls, 'common_tls_context')))
    found.push({
      code: 'envoy.certificate-unverified',
      where,
      message: 'it does not verify the certificates of callers, so anybody can call under any SPIFFE ID',
      fix: 'set a validation context with the SPIFFE validator as deploy/envoy/envoy.yaml does, and no `ACCEPT_UNTRUSTED`',
    });
  if (!isTrueAt(tls, 'disable_stateless_session_resumption'))
    found.push({
      code: 'envoy.session-resumption',
      where,
      message:
        'a resumed TLS session is not verified again: a CA that was removed goes on being accepted until it ends',
      fix: 'set `disable_stateless_session_resumption` and `disable_stateful_session_resumption`',
    });
  return found;
}

const CONTEXTS = [['validation_context'], ['combined_validation_context', 'default_validation_context']] as const;

/** Contexts from SDS hold anchors that the configuration does not show. */
function isVerifying(common: unknown): boolean {
  const isLoose = CONTEXTS.some((path) => textAt(common, ...path, 'trust_chain_verification') === 'ACCEPT_UNTRUSTED');
  const isFromSds =
    at(common, 'validation_context_sds_secret_config') !== undefined ||
    at(common, 'combined_validation_context', 'validation_context_sds_secret_config') !== undefined;
  const hasAnchors = CONTEXTS.some((path) =>
    ['trusted_ca', 'custom_validator_config', 'watched_directory', 'ca_certificate_provider_instance'].some(
      (member) => at(common, ...path, member) !== undefined,
    ),
  );
  return !isLoose && (isFromSds || hasAnchors);
}

/** No client brings an identity of its own in a header. */
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

/** A path has one reading. */
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

/** Each thing an agent does is a call. */
export const seenCalls: EnvoyCheck = {
  title: 'nothing passes after an upgrade, and Remit learns how calls end',
  run: (facts) => ofGuarded(facts, (manager) => [...upgrades(manager), ...outcomes(manager)]),
};

const upgrades = ({ fields, where }: HttpManager): readonly Finding[] =>
  listAt(fields, 'upgrade_configs').length === 0
    ? []
    : [
        {
          code: 'envoy.upgrades',
          where,
          message:
            'upgrades (WebSocket) are on: after one nobody is asked again; Remit denies the call that asks for it',
          fix: 'remove `upgrade_configs`, where the host lets you',
        },
      ];

const outcomes = ({ fields, where }: HttpManager): readonly Finding[] =>
  listAt(fields, 'access_log').some((log) => textAt(log, 'name').includes('http_grpc'))
    ? []
    : [
        {
          code: 'envoy.no-outcomes',
          where,
          message: 'Remit gets no access log: records have no outcomes, and calls that bypass Remit are not noticed',
          fix: 'add `envoy.access_loggers.http_grpc` to the cluster of Remit: deploy/guide/watch/outcomes.md',
        },
      ];
