import { isSecretArgument } from '../../core/action/secrets/static-secret.ts';

/** Characters that are searched from the start of a value: all of it, since Linux bounds a variable to 128 KiB. */
const MAX_SEARCHED = 131_072;

/** Shapes in addition to those of keys in calls, each bounded: one pass over the value. */
const SHAPES: readonly RegExp[] = [
  // Temporary keys of AWS, tokens of OAuth at Google, Vault, PyPI, Docker, DigitalOcean, Tailscale, age, Stripe webhooks, Slack apps.
  /(?:^|[^A-Za-z0-9])(?:ASIA[A-Z2-7]{16}|ya29\.[\w-]{20}|hv[sbr]\.[\w-]{20}|pypi-[\w-]{40}|dckr_pat_[\w-]{20}|do[opr]_v1_[0-9a-f]{20}|tskey-[\w-]{20}|AGE-SECRET-KEY-1[A-Z0-9]{20}|whsec_[\w-]{16}|xapp-[\w-]{20})/,
  /^\s*(?:Basic|Bearer|Token)\s+[^\s]{8}/i,
  // Keyword and value, as in connection strings.
  /(?:^|[;,\s&?"'{])(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|secretkey|sig)\s{0,8}["']?\s{0,8}[=:]\s{0,8}["']?[^\s;,&"']{3}/i,
  // URLs that are the secret.
  /https:\/\/(?:hooks\.slack\.com\/(?:services|workflows|triggers)\/|(?:[a-z]+\.)?discord(?:app)?\.com\/api\/webhooks\/|[a-z0-9.-]{1,100}\.webhook\.office\.com\/)\S/i,
  // A name alone before the host is a token over http, and a login elsewhere.
  /(?:^|\s|\+)https?:\/\/[^/?#@\s]{1,1024}@/i,
];

/**
 * Whether a value has the shape of a secret: a private key in PEM, a JWT, a key with a known prefix, a URL or connection string with a password,
 * an `Authorization` value. A value without such a shape, as most passwords are, is recognised by its name alone.
 */
export function isSecretValue(value: string): boolean {
  const searched = value.slice(0, MAX_SEARCHED);
  return isSecretArgument('none', searched) || SHAPES.some((shape) => shape.test(searched));
}

/** The user and password in the URL of a proxy, which may have no scheme. */
const USER_OF_PROXY = /^(\s*(?:[a-z][a-z0-9+.-]*:\/\/)?)[^/?#\s]*@/i;

/** The address of a proxy without user and password. */
export const withoutUser = (url: string): string => url.replace(USER_OF_PROXY, '$1');
