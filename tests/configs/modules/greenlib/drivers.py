def patch():
    pass
