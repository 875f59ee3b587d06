import type { ReasonCode } from './reasons.ts';

/**
 * What cures each reason, for the operator and the author of an agent, in the words of `deploy/guide/fix/reasons.md`. Nothing of it is sent to
 * a client.
 */
export const cures: Readonly<Record<ReasonCode, string>> = {
  'request.malformed': 'The CheckRequest could not be read. Envoy and Remit disagree about the protocol: see Envoy.',
  'request.not-canonical':
    'Send the path, host and headers in their only form: no `//`, `..`, `;`, encoded slash or dot, no header twice. Or the path can be taken for another route (letter case, extension, `:verb`): see `exactPaths` in the catalog.',
  'request.unsupported':
    'Upgrades, CONNECT, unknown methods, compressed bodies, announced trailers, a query at an A2A agent and requests that are not HTTP are not decided. Use a plain request.',
  'request.body-incomplete':
    'The body was longer than Envoy hands over (`max_request_bytes`). Send a shorter body, or raise both bounds.',
  'request.too-large': 'Fewer or shorter headers, a shorter path or body.',
  'identity.missing':
    'The connection has no client certificate with a SPIFFE ID: call with the SVID of the workload. Or the proxy does not send Remit the certificate (`include_peer_certificate`), and the token is bound to a certificate: the operator must look.',
  'identity.invalid':
    'The certificate must be an X509-SVID: one URI SAN, a SPIFFE ID with a path, not a CA, in its validity.',
  'identity.untrusted-domain': 'The trust domain is not in `trustDomains`. The operator decides whether it should be.',
  'identity.conflict':
    'Certificate, principal and `x-forwarded-client-cert` name different workloads. A proxy forwards what it should not.',
  'token.missing': 'Get a task token at the issuer and send it as `authorization: Bearer …`.',
  'token.malformed': 'The header or the token is malformed; a token of another kind is refused here too.',
  'token.algorithm': 'The issuer may not sign with that algorithm: see `acceptedIssuers`.',
  'token.signature': 'The token was changed on its way, or its key is not (or no longer) published. Get a new token.',
  'token.issuer':
    'Nobody here trusts that issuer, or not for this action: see `acceptedIssuers` and `accepts` in the catalog.',
  'token.audience': 'The token is for another resource. Ask for a token with the `resource` of this server.',
  'token.expired':
    'Get a new token: `POST /tasks/{id}/token` while the task lives, else declare again. Of a task that was suspended, cancelled or revoked the reason is that state, also once its token is over.',
  'token.not-yet-valid': 'Clocks differ, or the token is meant for later.',
  'token.lifetime': 'The token lives longer than `maxTokenSeconds` allows.',
  'token.binding':
    'The token is bound to another workload or certificate. After a rotation, exchange it for a token bound to the new certificate. If the certificate alone differs, again and again, a proxy keeps connections that were opened with the former certificate: `extAuthz.binding: spiffe-id`.',
  'token.proof': 'Send a fresh DPoP proof for this method, this URL and this token, once.',
  'token.proof-nonce':
    'Send a fresh DPoP proof with the claim `nonce` from the header `DPoP-Nonce` of this answer. OAuth clients that know RFC 9449 section 9 do so by themselves. It is needed if several processes serve one name (`extAuthz.proofNonces`).',
  'token.replay-memory-full':
    'The key or the agent has sent more DPoP proofs in the last minute than its share of the replay memory: see `remit_proofs_refused_total` in metrics. Slow down and try again; a new token changes nothing.',
  'token.revoked':
    'Only this token is dead, and its task lives: it was revoked, presented by another workload, or is from before a resume. Get a new token of the same task: `POST /tasks/{id}/token`.',
  'token.static-secret':
    'A long-lived secret was sent. Use a task token, or have the operator write an exception with an end date.',
  'token.keys-unavailable':
    'The key server of the issuer cannot be reached, or this sidecar has not heard its authority yet. Keep the token and try again; the operator sees it at `/readyz`.',
  'stopped.all':
    'An operator stopped everything (`remit stop all`). Operators alone lift it: `remit stop list` names it, by whom and why, and `remit stop lift ID` ends it.',
  'stopped.agent':
    'An operator or a signal stopped this agent, or an agent above it in its chain of delegation (`remit stop agent`). No new token or task helps. `remit stop list` says by whom and why; operators alone lift it.',
  'stopped.server':
    'An operator stopped every call to this server of the catalog (`remit stop server`). Operators alone lift it.',
  'stopped.action':
    'An operator stopped this action of the catalog (`remit stop action`), for all agents. Operators alone lift it.',
  'stopped.user':
    'An operator or a signal stopped all that is done on behalf of this user (`remit stop user`), by all agents. No new token or task helps. Operators alone lift it.',
  'task.unknown': 'The task is not known here: another issuer, another state file, or a token that was never issued.',
  'task.suspended':
    'An operator, a signal, a changed context or its own agent suspended the task. Wait until it is resumed, then get a new token: `POST /tasks/{id}/token`.',
  'task.completed': 'The task is over. Declare a new task for new work.',
  'task.cancelled': 'The task is over. Declare a new task for new work.',
  'task.revoked': 'The task was revoked by an operator, a signal or a rule. Ask before you declare again.',
  'task.expired': 'The deadline or the idle limit of the task has passed. Declare a new task for new work.',
  'task.stopped':
    'Somebody else suspended, revoked or cancelled a task of this agent that has an action of this intent. While it is suspended an operator must resume it; after its end the wait is `issuer.stoppedTaskWaitSeconds`, and the answer names its end. Only the issuer gives this reason.',
  'task.exhausted':
    'A constraint of the intent (`max_calls`, `max_amount`) is used up. A use that passed the policies counts, also if it was then denied because it could not be recorded or its task ended meanwhile.',
  'task.replayed':
    'The intent says `single_use`, and its only use was made, with whichever token of the task. Declare a new task, or without it.',
  'task.state-unavailable':
    'The state file cannot be read or written, too many writes wait for it, or another process kept it locked for too long. Try again; the operator must look.',
  'limit.exceeded':
    'An entry of `limits.yaml` has too little left for this call or this task: the answer says which, what it counts and when its window ends. A new task or token refills nothing. `remit limits` shows what is used; the owner of the limit decides whether there is more.',
  'action.unknown': 'No entry of the catalog (`actions.yaml`, `actions/*.yaml`) matches host, method and path.',
  'action.changed':
    'The server lists the tool otherwise than its `pin` in the catalog says, or the called name looks like a tool that has a pin. It may be another tool now: `remit doctor --mcp URL` shows the difference, and a new pin is the review.',
  'action.unasked':
    'Nobody asked; or the call that asked was made at another process of Remit, before its restart, or more than an hour ago. Make that call again. If it happens often, let the calls of a session of MCP arrive at one process: see the sessions of MCP at several processes.',
  'action.outside-intent':
    'The declared intent does not name this action, this amount, or this time. Declare what you are about to do.',
  'action.arguments':
    'An argument is missing, of the wrong type, or has more than one reading; or the call has a body that its catalog entry does not state (`body`).',
  'policy.forbidden': 'A `forbid` matches it. If that has a `@reason`, the body says it as `advice`.',
  'policy.not-permitted': 'No `permit` covers it. The record names the policy set that was asked.',
  'policy.error': 'A policy failed while it was evaluated, which denies. The record names it.',
  'policy.unavailable': 'No policy is in force. `/readyz` says why.',
  'policy.expired': 'The bundle in force says that it must no longer be used. Publish a newer bundle.',
  'policy.stale':
    'For longer than `policies.maxAgeSeconds` the source of the policies could not be read, or has a set that was refused. The log says which.',
  'ledger.unavailable': 'The use could not be recorded, so it is not allowed. The disk may be full.',
  'check.deadline':
    'Remit did not decide within the time that Envoy gives a check, or Envoy no longer waited; in the first second after a start, or on a machine without processor time. What was decided too late is withdrawn in the record, and its budget is given back once the access log of Envoy says that the call was not sent. The log has it under the decision id. Try again after `retry-after`.',
  overloaded:
    'Too many checks at once, messages that hold too much memory together, too many of this agent (`extAuthz.maxChecksPerSecondPerAgent`), or more checks than can be decided in time. `cause` of `remit_server_refusals_total` and of the record `refused` tells them apart: `full`, `agent`, `late`. Try again after `retry-after`.',
  internal: 'A fault of ours. The log has it under the decision id.',
};
