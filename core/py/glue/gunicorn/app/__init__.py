"""gunicorn.app"""
