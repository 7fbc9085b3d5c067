// The live picture: asks for the next frame once the last is shown, draws segments where the viewer wants that,
// and tells the page which place was clicked. No frame waits here: the newest replaces what is not shown yet.
(() => {
  const STATES = {};

  class Picture {
    constructor(canvas) {
      this.canvas = canvas;
      this.context = canvas.getContext("2d");
      this.caption = document.getElementById(canvas.dataset.caption);
      this.socket = null;
      this.retry = 250;
      this.last = 0;
      this.frame = null;
      this.mark = null;
      this.cursor = null;
      this.count = 0;
      this.since = performance.now();
      this.connect();
      canvas.addEventListener("click", (event) => {
        const box = canvas.getBoundingClientRect();
        this.pick((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      });
      canvas.addEventListener("keydown", (event) => this.onKey(event));
      canvas.addEventListener("blur", () => { this.cursor = null; this.draw(); });
      new MutationObserver((changes) => {
        if (changes.some((change) => change.attributeName === "data-node")) this.restart();
        else if (changes.some((change) => change.attributeName === "data-kind")) {
          this.since = performance.now();
          this.ask();
        }
        this.draw();
      }).observe(canvas, { attributes: true, attributeFilter: ["data-node", "data-kind", "data-style", "data-opacity", "data-colors"] });
      document.addEventListener("visibilitychange", () => document.hidden ? this.close() : this.restart());
      setInterval(() => this.tell(), 500);
    }

    get kind() { return this.canvas.dataset.kind || "overlay"; }

    connect() {
      if (document.hidden || !this.canvas.dataset.node) return;
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/pictures?node=${encodeURIComponent(this.canvas.dataset.node)}`);
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      socket.onopen = () => { this.retry = 250; this.ask(); };
      socket.onmessage = (event) => this.onFrame(socket, event.data);
      socket.onclose = () => {
        if (this.socket !== socket) return;
        this.socket = null;
        setTimeout(() => { if (!this.socket) this.connect(); }, this.retry);
        this.retry = Math.min(this.retry * 2, 5000);
      };
    }

    close() {
      const socket = this.socket;
      this.socket = null;
      if (socket) socket.close();
    }

    restart() {
      this.close();
      this.frame = null;
      this.last = 0;
      this.retry = 250;
      this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      this.connect();
    }

    ask() {
      if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(this.kind);
    }

    async onFrame(socket, data) {
      const length = new DataView(data).getUint32(0, true);
      const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      let begin = 4 + length;
      const parts = header.parts.map((size) => { begin += size; return data.slice(begin - size, begin); });
      try {
        const image = await createImageBitmap(new Blob([parts[0]], { type: "image/jpeg" }));
        if (this.socket !== socket) return image.close();
        if (this.frame) this.frame.image.close();
        this.frame = { image, header, map: parts[1] ? new Uint16Array(parts[1]) : null };
        this.last = performance.now();
        this.count += 1;
        this.canvas.dataset.count = this.count;
        this.canvas.dataset.stamp = header.stamp;
        this.draw();
        this.tell();
      } finally {
        requestAnimationFrame(() => { if (this.socket === socket) this.ask(); });
      }
    }

    draw() {
      if (!this.frame) return;
      const { image, header, map } = this.frame, { canvas, context } = this;
      if (canvas.width !== image.width || canvas.height !== image.height) {
        canvas.width = image.width;
        canvas.height = image.height;
      }
      context.drawImage(image, 0, 0);
      if (map) this.drawSegments(header, map);
      const mark = this.mark;
      if (mark && performance.now() < mark.until) this.drawMark(mark);
      if (this.cursor) this.drawCursor();
    }

    drawSegments(header, map) {
      const { width, height } = header, style = this.canvas.dataset.style || "fill";
      const opacity = Number(this.canvas.dataset.opacity || 0.45);
      const colors = JSON.parse(this.canvas.dataset.colors || "{}");
      const classes = new Map(header.classes.map(([id, klass, label, score]) => [id, { klass, label, score }]));
      const pixels = new ImageData(width, height), out = new Uint32Array(pixels.data.buffer);
      const ids = new Uint16Array(width * height), places = new Map();
      let at = 0;
      for (let i = 0; i < map.length; i += 2) {
        const id = map[i], size = map[i + 1];
        ids.fill(id, at, at + size);
        const known = places.get(id);
        if (!known || size > known.size) places.set(id, { size, at: at + (size >> 1) });
        at += size;
      }
      const alpha = Math.round(opacity * 255);
      const paint = (id, a) => {
        const known = classes.get(id), rgb = known && known.klass !== 255 ? colors[known.klass] : null;
        if (!rgb) return known ? (a << 24 | 0x5a5a5a) >>> 0 : 0;
        return (a << 24 | rgb[2] << 16 | rgb[1] << 8 | rgb[0]) >>> 0;
      };
      const fills = new Map(), lines = new Map();
      for (const id of places.keys()) {
        fills.set(id, style === "outline" ? 0 : paint(id, alpha));
        lines.set(id, style === "fill" ? fills.get(id) : paint(id, Math.max(alpha, 160)));
      }
      for (let y = 0, i = 0; y < height; y++) {
        for (let x = 0; x < width; x++, i++) {
          const id = ids[i];
          const edge = (x > 0 && ids[i - 1] !== id) || (x > 1 && ids[i - 2] !== id) ||
            (y > 0 && ids[i - width] !== id) || (y > 1 && ids[i - 2 * width] !== id);
          out[i] = edge ? lines.get(id) : fills.get(id);
        }
      }
      const layer = this.layer ||= document.createElement("canvas");
      layer.width = width;
      layer.height = height;
      layer.getContext("2d").putImageData(pixels, 0, 0);
      const { context } = this;
      context.drawImage(layer, 0, 0);
      const size = Math.max(11, Math.round(height / 38));
      context.font = `600 ${size}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      context.lineWidth = size / 4;
      context.strokeStyle = "rgba(0,0,0,.8)";
      context.fillStyle = "#fff";
      for (const [id, { size: run, at: place }] of places) {
        const known = classes.get(id);
        if (!known || known.klass === 255 || run < size * 2) continue;
        const x = place % width, y = Math.floor(place / width), text = `${known.label} ${known.score.toFixed(2)}`;
        context.strokeText(text, x, y);
        context.fillText(text, x, y);
      }
    }

    drawMark(mark) {
      const { context } = this;
      if (!mark.layer) {
        const layer = document.createElement("canvas");
        layer.width = mark.width;
        layer.height = mark.height;
        const pixels = new ImageData(mark.width, mark.height), out = new Uint32Array(pixels.data.buffer);
        const inside = new Uint8Array(out.length);
        let at = 0;
        for (let i = 0; i < mark.runs.length; i += 2) {
          if (mark.runs[i]) inside.fill(1, at, at + mark.runs[i + 1]);
          at += mark.runs[i + 1];
        }
        const w = mark.width;
        for (let i = 0; i < out.length; i++) {
          if (!inside[i]) continue;
          const edge = !inside[i - 1] || !inside[i + 1] || !inside[i - w] || !inside[i + w] ||
            !inside[i - 2] || !inside[i + 2] || !inside[i - 2 * w] || !inside[i + 2 * w];
          out[i] = edge ? 0xffffffff : 0x38ffffff;
        }
        layer.getContext("2d").putImageData(pixels, 0, 0);
        mark.layer = layer;
      }
      context.drawImage(mark.layer, 0, 0, this.canvas.width, this.canvas.height);
    }

    drawCursor() {
      const { context, canvas } = this, x = this.cursor.x * canvas.width, y = this.cursor.y * canvas.height;
      for (const [color, width] of [["#000", 5], ["#fff", 2]]) {
        context.strokeStyle = color;
        context.lineWidth = width;
        context.beginPath();
        context.arc(x, y, 12, 0, 7);
        context.moveTo(x - 20, y); context.lineTo(x + 20, y);
        context.moveTo(x, y - 20); context.lineTo(x, y + 20);
        context.stroke();
      }
    }

    onKey(event) {
      const step = event.shiftKey ? 0.1 : 0.025, moves = {
        ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
      };
      if (moves[event.key]) {
        const [dx, dy] = moves[event.key], from = this.cursor || { x: 0.5, y: 0.5 };
        this.cursor = { x: Math.min(0.999, Math.max(0, from.x + dx)), y: Math.min(0.999, Math.max(0, from.y + dy)) };
        this.draw();
      } else if ((event.key === "Enter" || event.key === " ") && this.frame) {
        this.cursor ||= { x: 0.5, y: 0.5 };
        this.draw();
        this.pick(this.cursor.x, this.cursor.y);
      } else {
        return;
      }
      event.preventDefault();
    }

    pick(x, y) {
      if (!this.frame) return;
      emitEvent("pick", { x, y, stamp: this.frame.header.stamp });
    }

    tell() {
      const waiting = this.last ? (performance.now() - this.last) / 1000 : Infinity;
      let text = "";
      if (!this.canvas.dataset.node) text = "No node is chosen";
      else if (!this.socket && !document.hidden) text = "The console does not answer; trying again";
      else if (this.kind === "plain" && performance.now() - this.since > 5000 && waiting > 5) {
        text = "The camera's own image does not reach this page: choose 'As the node draws it'";
      } else if (waiting === Infinity) text = "Waiting for the first picture";
      else if (waiting > 2) text = `No new picture for ${Math.round(waiting)} s`;
      if (this.caption && this.caption.textContent !== text) this.caption.textContent = text;
      this.canvas.classList.toggle("stale", waiting > 2);
      if (this.mark && performance.now() > this.mark.until) { this.mark = null; this.draw(); }
    }
  }

  const decode = (text) => Uint16Array.from({ length: atob(text).length / 2 }, ((bytes) => (_, i) =>
    bytes.charCodeAt(2 * i) | bytes.charCodeAt(2 * i + 1) << 8)(atob(text)));

  window.ovsrMark = (runs, width, height) => {
    const picture = STATES.live;
    if (!picture) return;
    picture.mark = runs ? { runs: decode(runs), width, height, until: performance.now() + 1500 } : null;
    picture.draw();
  };

  const find = () => {
    const canvas = document.querySelector("canvas[data-live]");
    if (canvas && (!STATES.live || STATES.live.canvas !== canvas)) STATES.live = new Picture(canvas);
    setTimeout(find, STATES.live ? 1000 : 30);
  };
  find();
})();
