// Talk to the server. Grades wait in a queue that outlives the page, so that none is lost while the server is away.

import { addressOf, newRequest } from "./parts.js";

export class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function read(answer) {
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  const detail = typeof body.detail === "string" ? body.detail : answer.statusText;
  throw new ServerError(answer.status, body.message ? `${body.message}. ${body.fix ?? ""}` : detail);
}

export const get = async (path, values = {}) => read(await fetch(addressOf(path, values)));

export const post = async (path, body) =>
  read(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

const RETRY_MS = 1500;

export class Queue {
  // name: of this session in the browser's storage. onAnswer(answer, task), onTrouble(text or nothing).
  constructor(name, onAnswer, onTrouble) {
    this.name = `inspect-unsent-${name}-${newRequest()}`;
    this.onAnswer = onAnswer;
    this.onTrouble = onTrouble;
    this.tasks = [];
    for (const other of Object.keys(localStorage)) {
      if (!other.startsWith(`inspect-unsent-${name}-`)) continue;
      this.tasks.push(...JSON.parse(localStorage.getItem(other)));  // what a closed page left; doubles are one grade
      localStorage.removeItem(other);
    }
    this.keep();
    this.send();
  }

  get length() {
    return this.tasks.length;
  }

  add(path, body) {
    this.tasks.push({ path, body: path === "/api/marks" ? body : { ...body, request: newRequest() } });
    this.keep();
    this.send();
  }

  keep() {
    if (this.tasks.length) localStorage.setItem(this.name, JSON.stringify(this.tasks));
    else localStorage.removeItem(this.name);
  }

  async send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.tasks.length) {
      const [task] = this.tasks;
      try {
        const answer = await post(task.path, task.body);
        this.drop(task);
        this.onTrouble("");
        this.onAnswer(answer, task);
      } catch (error) {
        if (error.status && error.status < 500 && error.status !== 401) {
          this.drop(task);
          this.onTrouble(`Not saved: ${error.message}`);
          continue;
        }
        const many = this.tasks.length > 1 ? `${this.tasks.length} grades are` : "One grade is";
        const why = error.status ? error.message : "the server does not answer";
        this.onTrouble(`${many} not saved yet (${why}). They wait here and are sent again by themselves.`);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    this.isSending = false;
  }

  // Wait until all is sent, a few seconds at most.
  async settle() {
    for (let turn = 0; this.tasks.length && turn < 60; turn += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  drop(task) {
    this.tasks = this.tasks.filter((other) => other !== task);
    this.keep();
  }
}
