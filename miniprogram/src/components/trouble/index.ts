// What went wrong, what to do about it, and whom to call: beneath every page.
Component({
  options: { addGlobalClass: true },
  properties: {
    notice: { type: Object, value: null as never },
    call: { type: String, value: '' },
    offline: { type: String, value: '' },
    retry: { type: String, value: '' },
  },
  methods: {
    act(e: { currentTarget: { dataset: { do?: string } } }) {
      this.triggerEvent('act', { do: e.currentTarget.dataset.do ?? '' })
    },
  },
})
