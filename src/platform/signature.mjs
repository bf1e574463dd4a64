// Whether a signature holds: WebCrypto's part of `identity::jwt`.
const SIGNATURES = {
  HS256: { import: { name: "HMAC", hash: "SHA-256" }, verify: "HMAC" },
  RS256: { import: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, verify: "RSASSA-PKCS1-v1_5" },
  ES256: { import: { name: "ECDSA", namedCurve: "P-256" }, verify: { name: "ECDSA", hash: "SHA-256" } },
};

/** `key`: a JWK as text, or for HS256 the secret itself. */
export async function verifySignature(algorithm, key, signed, signature) {
  if (!key) throw new Error("no key");
  const how = SIGNATURES[algorithm];
  const form = algorithm === "HS256" ? "raw" : "jwk";
  const material = form === "raw" ? new TextEncoder().encode(key) : JSON.parse(key);
  const imported = await crypto.subtle.importKey(form, material, how.import, false, ["verify"]);
  return crypto.subtle.verify(how.verify, imported, signature, signed);
}
