/** Checks of how strict the filter that asks Remit is: failures, deadlines, what Remit sees, and its answers. */
import { at, isTrueAt, listAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import { settingOf } from './http-manager.ts';
import { ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import { durationMs, MAX_CHECK_MS } from './values.ts';

/** A failed check denies the call. */
export const failsClosed: EnvoyCheck = {
  title: 'a call whose check fails is denied, with 503',
  run: (facts) => ofAskings(facts, (asking) => [...failsOpen(asking), ...statusOnError(asking), ...emptyError(asking)]),
};

const failsOpen = ({ filter, manager: { where } }: Asking): readonly Finding[] =>
  isTrueAt(filter.fields, 'failure_mode_allow')
    ? [
        {
          code: 'envoy.fails-open',
          where,
          message: '`failure_mode_allow` is on: while Remit is down, slow or overloaded, every call passes',
          fix: 'set `failure_mode_allow: false` (`failOpen: false` in Istio and Envoy Gateway)',
        },
      ]
    : [];

const statusOnError = ({ filter, manager: { where } }: Asking): readonly Finding[] =>
  textAt(filter.fields, 'status_on_error', 'code') === 'ServiceUnavailable'
    ? []
    : [
        {
          code: 'envoy.status-on-error',
          where,
          message:
            'a call whose check failed is answered like a denial (403), so nobody sees that Remit was not reached',
          fix: 'set `status_on_error: { code: ServiceUnavailable }` (`statusOnError: 503`)',
        },
      ];

/** Envoy answers a failed check with a status alone; a body comes only from `local_reply_config`. */
const emptyError = ({ manager: { fields, where } }: Asking): readonly Finding[] => {
  const replies = at(fields, 'local_reply_config');
  const hasBody = [replies, ...listAt(replies, 'mappers')].some((one) =>
    ['body_format', 'body', 'body_format_override'].some((name) => at(one, name) !== undefined),
  );
  return hasBody
    ? []
    : [
        {
          code: 'envoy.empty-error',
          where,
          level: 'info',
          message:
            'a call whose check failed is answered without a body: neither the agent nor its log says that Remit was not reached',
          fix: 'give the connection manager the `local_reply_config` of deploy/envoy/envoy.yaml: deploy/hosts/istio/envoyfilter.yaml does',
        },
      ];
};

/** A check ends in time and is made once. */
export const boundedCheck: EnvoyCheck = {
  title: 'a check has a short deadline and is not repeated',
  run: (facts) => ofAskings(facts, (asking) => [...deadline(asking), ...retries(asking)]),
};

/** Where the service that is asked may be set: in the filter, and for each route. */
const servicesOf = ({ filter, manager }: Asking): readonly { readonly where: string; readonly fields: unknown }[] => [
  { where: manager.where, fields: filter.fields },
  ...manager.routes.map((route) => ({
    where: `${manager.where}/route/${route.where}`,
    fields: at(settingOf(filter, route).fields, 'check_settings'),
  })),
];

function deadline(asking: Asking): readonly Finding[] {
  const finding = { code: 'envoy.long-timeout', fix: 'set `timeout: 0.5s` in `grpc_service`' } as const;
  return servicesOf(asking).flatMap(({ fields, where }): readonly Finding[] => {
    const text = textAt(fields, 'grpc_service', 'timeout');
    const ms = text === '' ? null : durationMs(text);
    if (ms === null || (ms > 0 && ms <= MAX_CHECK_MS)) return [];
    const message =
      ms === 0
        ? 'a check has no deadline: calls wait for ever if Remit hangs'
        : `a check may take ${text}: if Remit hangs, calls pile up in Envoy for so long`;
    return [{ ...finding, where, message }];
  });
}

/** Retries of checks that never reached a process. */
const SAFE_RETRIES: ReadonlySet<string> = new Set(['connect-failure', 'refused-stream']);

const retries = (asking: Asking): readonly Finding[] =>
  servicesOf(asking).flatMap(({ fields, where }): readonly Finding[] => {
    const on = textAt(fields, 'grpc_service', 'retry_policy', 'retry_on')
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '' && !SAFE_RETRIES.has(word));
    return on.length === 0
      ? []
      : [
          {
            code: 'envoy.check-retried',
            where,
            message: `a check is repeated on \`${on.join(',')}\`: one call counts as two uses, and a single-use token is refused`,
            fix: 'remove `retry_policy` from `grpc_service`, or retry on `connect-failure,refused-stream` alone',
          },
        ];
  });

/** Remit sees what it decides on. */
export const completeCheck: EnvoyCheck = {
  title: 'Remit sees certificate, headers and whole body of each call',
  run: (facts) =>
    ofAskings(facts, (asking) => [...certificate(asking), ...headers(asking), ...body(asking), ...routeBodies(asking)]),
};

const XFCC_SET: ReadonlySet<string> = new Set(['SANITIZE_SET', 'APPEND_FORWARD']);

/** With `identity: xfcc` the certificate's hash comes in a header. */
function certificate({ filter, manager: { fields, where } }: Asking): readonly Finding[] {
  if (isTrueAt(filter.fields, 'include_peer_certificate')) return [];
  const hasHash = XFCC_SET.has(textAt(fields, 'forward_client_cert_details'));
  return [
    {
      code: 'envoy.no-peer-certificate',
      where,
      level: hasHash ? 'info' : 'warning',
      message: hasHash
        ? 'Remit gets no certificate; with `identity: xfcc` it uses the hash in the header'
        : 'Remit does not get the certificate of the caller, and denies tokens that are bound to a certificate',
      fix: 'set `include_peer_certificate: true`',
    },
  ];
}

const NEEDED = 'authorization';

/** Header lists are matchers; only those that decide about `authorization` by an exact name or prefix are understood. */
function headers({ filter, manager: { where } }: Asking): readonly Finding[] {
  const allowed = listAt(filter.fields, 'allowed_headers', 'patterns');
  const disallowed = listAt(filter.fields, 'disallowed_headers', 'patterns');
  const isHidden =
    disallowed.some(namesNeeded) || (allowed.length > 0 && allowed.every(isPlain) && !allowed.some(namesNeeded));
  return isHidden
    ? [
        {
          code: 'envoy.headers-hidden',
          where,
          message: `Remit does not get the header \`${NEEDED}\`, so it sees no token and denies every call`,
          fix: 'remove `allowed_headers` and `disallowed_headers` (`headersToExtAuth`), or name it there',
        },
      ]
    : [];
}

const namesNeeded = (pattern: unknown): boolean => {
  const exact = textAt(pattern, 'exact').toLowerCase();
  const prefix = textAt(pattern, 'prefix').toLowerCase();
  return exact === NEEDED || (prefix !== '' && NEEDED.startsWith(prefix));
};

const isPlain = (pattern: unknown): boolean => textAt(pattern, 'exact') !== '' || textAt(pattern, 'prefix') !== '';

function body({ filter, manager: { where } }: Asking): readonly Finding[] {
  const settings = at(filter.fields, 'with_request_body');
  if (settings === undefined)
    return [
      {
        code: 'envoy.no-body',
        where,
        message: 'Remit gets no body: actions with arguments are denied, and what a body holds is not checked',
        fix: 'set `with_request_body: { max_request_bytes: 65536, allow_partial_message: false, pack_as_bytes: true }`',
      },
    ];
  return bodySettings(settings, where);
}

function bodySettings(settings: unknown, where: string): readonly Finding[] {
  const partial: Finding = {
    code: 'envoy.partial-body',
    where,
    message: 'Remit decides on the beginning of a long body, and the upstream gets all of it',
    fix: 'set `allow_partial_message: false`: a longer body is then answered 413',
  };
  const text: Finding = {
    code: 'envoy.body-as-text',
    where,
    message: 'bodies arrive as text: bytes that are not UTF-8 are replaced before Remit sees them',
    fix: 'set `pack_as_bytes: true`, if the host has it',
  };
  return [
    ...(isTrueAt(settings, 'allow_partial_message') ? [partial] : []),
    ...(isTrueAt(settings, 'pack_as_bytes') ? [] : [text]),
  ];
}

const routeBodies = ({ filter, manager }: Asking): readonly Finding[] =>
  manager.routes.flatMap((route): readonly Finding[] => {
    const settings = at(settingOf(filter, route).fields, 'check_settings');
    const where = `${manager.where}/route/${route.where}`;
    if (isTrueAt(settings, 'disable_request_body_buffering'))
      return [
        {
          code: 'envoy.no-body',
          where,
          level: 'info',
          message: 'Remit decides calls of this route without their body',
          fix: 'keep it for streams alone',
        },
      ];
    const own = at(settings, 'with_request_body');
    // Envoy reads `pack_as_bytes` from the filter.
    return own === undefined ? [] : bodySettings(own, where).filter(({ code }) => code === 'envoy.partial-body');
  });

/** An answer of Remit that Envoy cannot apply is an error. */
export const strictAnswers: EnvoyCheck = {
  title: 'an answer of Remit that Envoy cannot apply is an error',
  run: (facts) =>
    ofAskings(facts, ({ filter, manager: { where } }) =>
      isTrueAt(filter.fields, 'validate_mutations') &&
      isTrueAt(filter.fields, 'decoder_header_mutation_rules', 'disallow_is_error')
        ? []
        : [
            {
              code: 'envoy.lenient-answers',
              where,
              message: 'a header that Envoy may not set is dropped in silence, and the call goes on without it',
              fix: 'set `validate_mutations: true` and `decoder_header_mutation_rules: { disallow_is_error: true }`, if the host has them',
            },
          ],
    ),
};
