// What the engines of this server take, as /openapi.json has it, and a form to try each with pictures of one's own.

const element = (name, text, attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  if (text) made.textContent = text;
  return made;
};

function row(name, schema, isNeeded) {
  const line = element("tr"), fallback = schema.default === undefined ? "" : `default ${schema.default}`;
  const kind = schema.format === "binary" ? "file" : schema.enum?.join(" | ") ?? schema.type;
  for (const text of [name, kind, isNeeded ? "needed" : fallback, schema.description]) line.append(element("td", text));
  return line;
}

function field(name, schema, isNeeded) {
  const label = element("label", name), file = schema.format === "binary";
  const input = schema.enum ? element("select") : element("input");
  for (const choice of ["", ...(schema.enum ?? [])]) if (schema.enum) input.append(element("option", choice));
  if (file) input.type = "file";
  Object.assign(input, { name, required: isNeeded });
  if (!file && !schema.enum) input.placeholder = schema.default ?? "";
  label.append(input);
  return label;
}

async function run(event, path, form, figure) {
  event.preventDefault();
  const body = new FormData();
  for (const [name, value] of new FormData(form)) if (value !== "" && !(value instanceof File && !value.size)) body.append(name, value);
  figure.replaceChildren(element("figcaption", "…"));
  const start = performance.now(), answer = await fetch(path.slice(1), { method: "POST", body });
  const told = `${answer.status} in ${Math.round(performance.now() - start)} ms; ${answer.headers.get("server-timing") ?? ""}`;
  const shown = [element("figcaption", told)];
  if (!answer.ok) shown.push(element("p", (await answer.json()).detail, { className: "problem" }));
  else if (answer.headers.get("content-type").startsWith("image/")) shown.push(element("img", "", { src: URL.createObjectURL(await answer.blob()), alt: "The answer" }));
  else shown.push(element("pre", (await answer.text()).slice(0, 2000)));
  figure.replaceChildren(...shown);
}

function section(path, operation) {
  const form = operation.requestBody.content["multipart/form-data"].schema;
  const made = element("section", "", { id: operation.operationId }), table = element("table"), head = element("tr");
  for (const text of ["part", "kind", "", ""]) head.append(element("th", text));
  table.append(head);
  const tried = element("form"), figure = element("figure"), example = ["curl"];
  for (const [name, schema] of Object.entries(form.properties)) {
    const isNeeded = form.required.includes(name);
    table.append(row(name, schema, isNeeded));
    tried.append(field(name, schema, isNeeded));
    if (isNeeded) example.push(`-F ${name}=@${name}.png`);
  }
  tried.append(element("button", "Try"));
  tried.onsubmit = (event) => run(event, path, tried, figure);
  const answers = Object.keys(operation.responses["200"].content);
  example.push(answers[0] === "application/json" ? "" : "-o answer.png", new URL(path.slice(1), location.href.split("?")[0]));
  const details = element("details");
  details.append(element("summary", "Try it"), tried, figure);
  made.append(element("h2", `POST ${path}`), element("p", `${operation.summary} Answers: ${answers.join(", ")}.`), table, element("pre", example.filter(Boolean).join(" ")), details);
  return made;
}

const { paths } = await (await fetch("openapi.json")).json();
for (const [path, { post }] of Object.entries(paths)) {
  if (!post) continue;
  document.getElementById("engines").append(element("a", post.operationId, { href: `#${post.operationId}` }));
  document.getElementById("operations").append(section(path, post));
}
