// Calls to REST API v1. Every failure becomes an ApiError whose message can be shown to the rater.

export class ApiError extends Error {
  // status 0: no answer came at all.
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  // Worth trying again later, unchanged.
  get passes() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export async function call(method, path, body, { keepalive = false } = {}) {
  const options = { method, credentials: "same-origin", cache: "no-store", keepalive };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(0, "The server cannot be reached.");
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new ApiError(response.status, answer.detail || `The server answered ${response.status}.`);
  }
  return answer;
}

const ASSIGNMENTS = "/api/v1/assignments";

export const api = {
  me: () => call("GET", "/api/v1/me"),
  next: (category) => call("POST", ASSIGNMENTS, category ? { category } : {}),
  submit: (id, body) => call("PUT", `${ASSIGNMENTS}/${id}/judgments`, body, { keepalive: true }),
  heartbeat: (id) => call("POST", `${ASSIGNMENTS}/${id}/heartbeat`),
  skip: (id, reason) => call("POST", `${ASSIGNMENTS}/${id}/skip`, { reason }),
  giveBack: (id) => call("DELETE", `${ASSIGNMENTS}/${id}`, undefined, { keepalive: true }),
  undo: () => call("POST", "/api/v1/undo"),
  progress: (category) =>
    call("GET", "/api/v1/progress" + (category ? `?category=${encodeURIComponent(category)}` : "")),
};
