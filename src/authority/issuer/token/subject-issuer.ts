/** A configured issuer of subject tokens. Its keys are found under `issuer`. */
export interface SubjectIssuer {
  /**
   * - `access-token`: RFC 9068 access tokens, `typ` `at+jwt`
   * - `id-jag`: identity assertions issued to the agent, `typ` `oauth-id-jag+jwt`
   * - `jwt-svid`: JWT-SVIDs of a SPIFFE trust domain
   */
  readonly kind: 'access-token' | 'id-jag' | 'jwt-svid';
  /** The `iss` of its tokens, compared exactly; for JWT-SVIDs, which need no `iss`, the trust domain: `spiffe://acme.test`. */
  readonly issuer: string;
  /** Required value in `aud`, and its only value for an ID-JAG. Usually the URL of this issuer. */
  readonly audience: string;
  /**
   * Meaning of the `scope` claim. `limits`: its values are actions or families of the catalog, and only those can be granted;
   * none without the claim. `ignored`: its values have another meaning.
   */
  readonly scope: 'limits' | 'ignored';
  /** Claims with attributes of the subject, by the attribute's name in the catalog. */
  readonly attributes: ReadonlyMap<string, string>;
}

/** Values of `subject_token_type`. @see RFC 8693 section 3, draft-ietf-oauth-identity-assertion-authz-grant */
export const tokenTypes = Object.freeze({
  accessToken: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
  idJag: 'urn:ietf:params:oauth:token-type:id-jag',
  transaction: 'urn:ietf:params:oauth:token-type:txn_token',
});
